"""The nested client against servers that are hostile, broken or slow: bounded, and never a word of the key."""

import asyncio
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from conversations.core.declared import Declared
from conversations.core.errors import RuntimeUnavailable, Unauthorized
from conversations.runtime.openhands_v0 import AnswerTooLarge, OpenHandsV0
from conversations.runtime.v0_bootstrap import REQUESTS_PER_SECOND, configure
from conversations.runtime.v0_http import TooLarge
from tests.contract.openhands.server import OpenHandsProcess
from tests.rig.ports import free_port

# The first one unpacks the image.
pytestmark = pytest.mark.timeout(300)

KEY = "the-session-key-of-these-tests"
Behave = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def say(status: str, body: bytes, *headers: str, length: int | None = None) -> Behave:
    """Answer every request so; `length` is what Content-Length claims."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            claimed = len(body) if length is None else length
            lines = [f"HTTP/1.1 {status}", f"Content-Length: {claimed}", *headers, "", ""]
            writer.write("\r\n".join(lines).encode() + body)
            await writer.drain()
            if length is not None:
                return

    return behave


async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")


async def wait_for_ever(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)


async def never_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(b" " * 65536)
        await writer.drain()


@asynccontextmanager
async def serving(behave: Behave) -> AsyncIterator[OpenHandsV0]:
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await behave(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(connected(reader, writer))
        tasks.add(task)

    server = await asyncio.start_server(keep, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        async with OpenHandsV0("uid-1", f"http://127.0.0.1:{port}", KEY) as client:
            yield client
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def assert_clean(error: BaseException) -> None:
    """Neither the error nor one that it was raised from holds the key."""
    seen: BaseException | None = error
    while seen is not None:
        assert KEY not in repr(seen) and KEY not in str(seen)
        request = getattr(seen, "_request", None)
        if request is not None:
            assert KEY not in str(request.headers)
        seen = seen.__cause__ or seen.__context__
    assert KEY not in "".join(traceback.format_exception(error))


BROKEN: list[tuple[str, Behave]] = [
    ("500", say("500 Internal Server Error", b'{"detail": "hush"}')),
    ("an HTML page", say("200 OK", b"<html>hush</html>")),
    ("502 of a proxy", say("502 Bad Gateway", b"<html>hush</html>")),
    ("nothing", say_nothing),
    ("an empty body", say("200 OK", b"")),
    ("half a body", say("200 OK", b'{"status": "RUN', length=300)),
    ("another JSON type", say("200 OK", b'["hush"]')),
    ("a redirect", say("307 Temporary Redirect", b"", "Location: http://127.0.0.1:1/elsewhere")),
    ("too many requests", say("429 Too Many Requests", b"{}", "Retry-After: 1")),
    ("deep nesting", say("200 OK", b"[" * 100_000)),
    ("compressed", say("200 OK", b"\x1f\x8b\x08hush", "Content-Encoding: gzip")),
]


@pytest.mark.parametrize(
    "behave", [behave for _, behave in BROKEN], ids=[name for name, _ in BROKEN]
)
async def test_a_broken_server_is_one_that_may_recover(behave: Behave) -> None:
    declared = Declared("abc", {"initial_user_msg": "hi"}, {"settings": {}})
    async with serving(behave) as client:
        for call in (
            configure(client, declared),
            client.get_conversation("abc"),
            client.get_events("abc", 0),
        ):
            with pytest.raises(RuntimeUnavailable) as raised:
                await call
            assert str(raised.value).startswith("look at the ")
            assert "hush" not in str(raised.value)
            assert_clean(raised.value)


async def test_a_server_that_hangs_meets_the_deadline() -> None:
    async with serving(wait_for_ever) as client:
        started = time.monotonic()
        with pytest.raises(httpx.ReadTimeout) as raised:
            await client.request("GET", "/x", timeout_seconds=0.5)
        assert_clean(raised.value)
        with pytest.raises(RuntimeUnavailable):
            await client.stop("abc", timeout_seconds=0.5)
        assert time.monotonic() - started < 5


async def test_an_answer_without_end_is_not_read_to_its_end() -> None:
    async with serving(never_end) as client:
        with pytest.raises(TooLarge) as raised:
            await client.request("GET", "/x", max_bytes=100_000)
        assert_clean(raised.value)
        with pytest.raises(AnswerTooLarge) as too_large:
            await client.get_events("abc", 0)
        assert_clean(too_large.value)
        async with client.stream("GET", "/x", timeout_seconds=5) as response:
            async for chunk in response.aiter_raw():
                assert chunk
                break


async def test_nobody_listens() -> None:
    async with OpenHandsV0("uid-1", f"http://127.0.0.1:{free_port()}", KEY) as client:
        with pytest.raises(httpx.ConnectError) as raised:
            await client.request("GET", "/x")
        assert_clean(raised.value)
        assert raised.value.request.url.path == "/x"
        assert KEY not in repr(client)


async def test_a_body_that_breaks_off_in_a_stream() -> None:
    async with serving(say("200 OK", b"half", length=300)) as client:
        with pytest.raises(httpx.RemoteProtocolError) as raised:
            async with client.stream("GET", "/x", timeout_seconds=5) as response:
                async for _ in response.aiter_raw():
                    pass
        assert_clean(raised.value)


async def test_a_status_error_of_the_callers_own_is_clean() -> None:
    async with serving(say("500 Internal Server Error", b"{}")) as client:
        response = await client.request("GET", "/x")
        with pytest.raises(httpx.HTTPStatusError) as raised:
            response.raise_for_status()
        assert_clean(raised.value)


async def test_no_more_requests_in_a_second_than_openhands_bears() -> None:
    times: list[float] = []

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            times.append(time.monotonic())
            body = b'{"status": "RUNNING", "events": [], "has_more": false}'
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
            await writer.drain()

    async with serving(behave) as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2.5):
                await configure(client, Declared("abc"))
    windows = zip(times, times[REQUESTS_PER_SECOND:], strict=False)
    assert len(times) > REQUESTS_PER_SECOND
    assert all(later - earlier > 0.9 for earlier, later in windows)


async def test_the_real_server_checks_the_key(nested: OpenHandsProcess) -> None:
    async with nested.client() as client:
        await client.check_key()
    async with OpenHandsV0("uid-1", nested.url, KEY) as stranger:
        with pytest.raises(Unauthorized) as raised:
            await stranger.check_key()
        assert_clean(raised.value)
        with pytest.raises(RuntimeUnavailable, match="look at the conversation: .* 401"):
            await configure(stranger, Declared("abc"))


async def test_an_unknown_conversation_has_no_events(client: OpenHandsV0) -> None:
    assert await client.get_conversation("unknown") is None
    assert await client.get_events("unknown", 0) == ([], False)
