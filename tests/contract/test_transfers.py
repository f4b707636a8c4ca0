"""Transfers that do not come to their end, and servers that are none."""

import asyncio
import logging
import os
import signal
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from conversations.core.errors import DeadlineExceeded, RuntimeUnavailable
from conversations.runtime.agent_server import AgentServer
from tests.contract.agent_server import AgentServerProcess
from tests.rig.waiting import eventually

MIB = 1 << 20


def access(process: AgentServerProcess) -> AgentServer:
    return AgentServer("uid", process.url, process.key, workspace=str(process.workspace))


async def blocks(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield bytes(MIB)


async def test_the_runtime_dies_in_mid_transfer(
    mortal_server: AgentServerProcess, tmp_path: Path
) -> None:
    await mortal_server.wait_ready()
    await die_in_mid_upload(mortal_server)
    mortal_server.start()
    await mortal_server.wait_ready()
    await die_in_mid_download(mortal_server, tmp_path)


async def die_in_mid_upload(server: AgentServerProcess) -> None:
    (server.workspace / "old").write_bytes(b"old")

    async def deadly() -> AsyncIterator[bytes]:
        yield bytes(MIB)
        server.kill()
        async for block in blocks(16):
            yield block

    async with access(server) as runtime:
        started = time.monotonic()
        with pytest.raises(RuntimeUnavailable):
            await runtime.upload_files({"first": b"x", "old": deadly()}, timeout_seconds=20)
        with pytest.raises(RuntimeUnavailable):
            await runtime.list_files(timeout_seconds=20)
        assert time.monotonic() - started < 20
    assert not (server.workspace / "first").exists()
    assert (server.workspace / "old").read_bytes() == b"old"


async def die_in_mid_download(server: AgentServerProcess, target: Path) -> None:
    with (server.workspace / "big").open("wb") as file:
        file.truncate(256 * MIB)
    async with access(server) as runtime:
        assert [entry.path for entry in await runtime.list_files()] == ["big", "old"]
        download = asyncio.create_task(runtime.download_file("big", target / "copy"))
        await eventually(lambda: any(p.stat().st_size for p in target.glob(".copy.*")), 20)
        async with runtime.open_file("big") as stream:
            with pytest.raises(RuntimeUnavailable):
                async for _ in stream:
                    server.kill()
        with pytest.raises(RuntimeUnavailable):
            await download
    assert os.listdir(target) == ["home"]


async def test_a_runtime_that_hangs_meets_the_deadline(
    server: AgentServerProcess, runtime: AgentServer, workspace: Path
) -> None:
    await runtime.upload_files({"file": b"x"})
    server.signal(signal.SIGSTOP)
    try:
        for call in (
            runtime.list_files(timeout_seconds=0.5),
            runtime.read_file("file", timeout_seconds=0.5),
            runtime.upload_files({"big": blocks(64)}, timeout_seconds=0.5),
        ):
            started = time.monotonic()
            with pytest.raises(DeadlineExceeded):
                await call
            assert time.monotonic() - started < 1.5
    finally:
        server.signal(signal.SIGCONT)
    assert os.listdir(workspace) == ["file"]


async def test_what_is_not_an_agent_server_is_no_runtime() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(replies.pop(0))
        await writer.drain()
        writer.close()

    replies = [
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b'HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{"exit_code": true}',
        b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * (8 * MIB),
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
        b"garbage\r\n\r\n",
    ]
    listener = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    async with listener:
        while replies:
            async with AgentServer("uid", f"http://127.0.0.1:{port}", "key") as runtime:
                with pytest.raises(RuntimeUnavailable):
                    await runtime.list_files(timeout_seconds=10)


async def test_keys_stay_out_of_words(
    server: AgentServerProcess, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        nobody = f"http://127.0.0.1:{listener.getsockname()[1]}"
    words = []
    async with access(server) as runtime:
        await runtime.upload_files({"file": b"x"})
        words += [repr(runtime), repr(runtime.__dict__)]
    async with AgentServer("uid", nobody, server.key) as runtime:
        with pytest.raises(RuntimeUnavailable, match="does not accept connections") as caught:
            await runtime.read_file("file")
        words += [repr(caught.value), caplog.text]
    assert server.key not in "".join(words)
