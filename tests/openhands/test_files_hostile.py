"""F5 and F6: keys, names and ids on the way to the nested server; and many calls at once."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.openhands.rig.kubelet import Kubelet
from tests.openhands.rig.misbehaviour import HTML, Answer, half_a_body, nothing, say, say_after
from tests.openhands.rig.outer import Outer
from tests.openhands.rig.running import FILE_ROUTES, Running, open_running

ODD_NAMES = [
    "two words.txt",
    "größe-日本.txt",
    "a&b=c.txt",
    "x#y?z%20.txt",
    "plus+plus.txt",
    "it's;.txt",
]


@pytest.fixture(scope="module")
async def shared(module_outer: Outer, kubelet: Kubelet) -> AsyncIterator[Running]:
    """One conversation for all of this file."""
    async with open_running(module_outer, kubelet, "files-of-another") as running:
        yield running


@pytest.fixture
def running(shared: Running) -> Running:
    shared.calm()
    return shared


# --- F5


@pytest.mark.parametrize("kind", FILE_ROUTES)
async def test_f5_every_call_has_the_key(running: Running, kind: str) -> None:
    await running.ask(kind)
    calls = running.nested.called("POST" if kind == "upload-files" else "GET", kind)
    assert [call.key for call in calls] == [running.nested.key]
    assert len(running.nested.key) > 20


async def test_f5_a_wrong_key_is_401(running: Running) -> None:
    key, running.nested.key = running.nested.key, "another"
    try:
        for kind in ("list-files", "upload-files"):
            answer = await running.ask(kind)
            assert answer.status_code == 401
            assert answer.json() == {"error": "Runtime returned error: 401"}
        content, error = await running.outer.manager.select_file(running.sid, "f")
    finally:
        running.nested.key = key
    assert content is None
    assert error == "the runtime does not accept the session key"


@pytest.mark.parametrize("answer", [say(500, HTML), half_a_body, nothing, say(200, "<html>")])
async def test_f5_no_error_holds_the_key(running: Running, answer: Answer) -> None:
    running.answer("list-files", answer)
    with pytest.raises(httpx.HTTPError) as caught:
        await running.outer.manager.list_files(running.sid)
    assert running.nested.key not in everything_in(caught.value)


def everything_in(error: BaseException | None) -> str:
    """What a logger or a debugger could show of an error and those that it came from."""
    if error is None:
        return ""
    request: Any = getattr(error, "_request", None)
    response: Any = getattr(error, "response", None)
    told = [repr(error), str(error), repr(error.__dict__)]
    told += [repr(one.headers.raw) for one in (request, response) if one is not None]
    if response is not None:
        told.append(repr(response.request.headers.raw))
    cause = everything_in(error.__cause__) + everything_in(error.__context__)
    return "".join(told) + cause


# --- F6


@pytest.mark.parametrize("name", ODD_NAMES)
async def test_f6_odd_names_round_trip(running: Running, name: str) -> None:
    manager = running.outer.manager
    uploaded, _ = await manager.upload_files(running.sid, [(name, name.encode())])
    assert uploaded == [name]
    assert await manager.list_files(running.sid, name) == [name]
    assert await manager.select_file(running.sid, name) == (name, None)
    answer = await running.ask("select-file", file=name)
    assert answer.json() == {"code": name}


@pytest.mark.parametrize(
    "sid", ["../x", "a/b", "a\\b", "..", ".", "", "a\nb", "a\0b", "x" * 101, "\ud800"]
)
async def test_f6_hostile_sids_reach_no_pod(running: Running, sid: str) -> None:
    manager = running.outer.manager
    for call in (
        manager.list_files(sid),
        manager.select_file(sid, "f"),
        manager.upload_files(sid, [("f", b"")]),
    ):
        with pytest.raises(ValueError):
            await call
    assert [c for c in running.nested.calls if c.path.endswith(FILE_ROUTES)] == []


async def test_many_at_once_do_not_wait_for_each_other(running: Running) -> None:
    running.answer("list-files", say_after(0.5, say(200, ["a"])))
    manager = running.outer.manager
    async with asyncio.timeout(2):
        lists = await asyncio.gather(*(manager.list_files(running.sid) for _ in range(20)))
    assert lists == [["a"]] * 20
