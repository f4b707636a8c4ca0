"""A TCP relay in front of a server, which can be shut and opened again on the same port."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any
from urllib.parse import urlsplit

from tests.rig.api import SOCKET_CLOSING_SECONDS


class Doorway:
    """`async with open_doorway(proxy.url) as doorway:`; then `doorway.url` instead."""

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        self._target = parts.hostname, parts.port
        self._port = 0
        self._server: asyncio.Server | None = None
        self._relays: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def open(self) -> None:
        """Let connections through."""
        self._flowing.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._relay, "127.0.0.1", self._port)
            self._port = self._server.sockets[0].getsockname()[1]

    async def shut(self) -> None:
        """Refuse connections, and cut those that there are."""
        assert self._server is not None
        self._server.close()
        self._server = None
        for relay in self._relays:
            relay.cancel()
        await asyncio.gather(*self._relays, return_exceptions=True)
        await asyncio.sleep(SOCKET_CLOSING_SECONDS)

    def stall(self) -> None:
        """Keep connections, accept new ones, and let no byte through."""
        self._flowing.clear()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._relays.add(task)
        writers = [writer]
        try:
            beyond_reader, beyond_writer = await asyncio.open_connection(*self._target)
            writers.append(beyond_writer)
            await _first(self._pump(reader, beyond_writer), self._pump(beyond_reader, writer))
        except asyncio.CancelledError:
            pass  # Shut: whoever accepted us must not hear of it.
        finally:
            self._relays.discard(task)
            for each in writers:
                each.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                await self._flowing.wait()
                writer.write(data)
                await writer.drain()


async def _first(*ways: Coroutine[Any, Any, None]) -> None:
    """Return when one of them is over; the others are cancelled."""
    tasks = [asyncio.create_task(way) for way in ways]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def open_doorway(target: str) -> AsyncIterator[Doorway]:
    """Open at first; shut for good at the end."""
    doorway = Doorway(target)
    await doorway.open()
    try:
        yield doorway
    finally:
        await doorway.open()
        await doorway.shut()
