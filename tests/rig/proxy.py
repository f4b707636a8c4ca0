"""
A reverse proxy between one operator and the API server, which records and which lies.

Plain HTTP on loopback; the operator's own bearer token is passed on, so the API server
authorises exactly what it would authorise without us.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
from aiohttp import web

from tests.rig.api import close_session
from tests.rig.cluster import Cluster
from tests.rig.faults import Dropped, EventFault, WriteFault
from tests.rig.record import Call, Entry, Record, parse_call

NOT_FORWARDED = frozenset(
    {"host", "connection", "keep-alive", "transfer-encoding", "content-length", "upgrade"}
)
ERROR_EVENT = (
    '{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","status":"Failure",'
    '"message":"the test ends the watch","code":%d}}\n'
)


class Proxy:
    """`async with open_proxy(cluster) as proxy:`; then `proxy.url` instead of the API server's."""

    def __init__(self, cluster: Cluster, writer: str = "operator") -> None:
        self.writer = writer
        self.record = Record()
        self.url = ""
        self._cluster = cluster
        self._write_fault: WriteFault | None = None
        self._event_fault: EventFault | None = None
        self._writes = 0
        self._frozen: frozenset[str] = frozenset()
        self._thaw = asyncio.Event()
        self._watches: set[_Watch] = set()
        self._session: aiohttp.ClientSession | None = None
        self._handlers: set[asyncio.Task[object]] = set()

    def arm(self, fault: WriteFault | EventFault | None) -> None:
        """Forget earlier faults; writes and events are counted from now."""
        self._writes = 0
        self._write_fault = fault if isinstance(fault, WriteFault) else None
        self._event_fault = fault if isinstance(fault, EventFault) else None

    def freeze_watches(self, *resources: str) -> None:
        """Hold back the watch events of these: caches grow stale without the operator noticing."""
        self._frozen = frozenset(resources)
        self._thaw.clear()

    def thaw_watches(self) -> None:
        self._frozen = frozenset()
        self._thaw.set()

    def expire_watches(self, code: int = 410) -> None:
        """End all watches with an error in the stream: 410 as after a compaction."""
        for watch in self._watches:
            watch.interrupt((ERROR_EVENT % code).encode())

    def cut_watches(self) -> None:
        """End all watches in the middle, as when a load balancer restarts."""
        for watch in self._watches:
            watch.interrupt(None)

    async def start(self) -> None:
        self._session = aiohttp.ClientSession(
            # A client certificate would win over the operator's token.
            connector=aiohttp.TCPConnector(ssl=self._cluster.anonymous_tls or False, limit=0),
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None),
        )
        self._runner = web.ServerRunner(web.Server(self._handle), shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{port}"

    async def close(self) -> None:
        for task in self._handlers:
            task.cancel()
        await asyncio.gather(*self._handlers, return_exceptions=True)
        await self._runner.cleanup()
        if self._session is not None:
            await close_session(self._session)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        try:
            return await self._answer(request)
        except (Dropped, aiohttp.ClientError):
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=502)
        finally:
            self._handlers.discard(task)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        call = parse_call(request.method, request.path, dict(request.query))
        if call is None:
            self.record.other_paths.add(request.path)
            return await self._exchange(request, None)
        if call.verb == "watch":
            return await self._stream(request, call)
        return await self._faulty_exchange(request, call)

    async def _faulty_exchange(self, request: web.BaseRequest, call: Call) -> web.StreamResponse:
        number = self._number(call)
        entry_status = 0
        try:
            if number and (instead := await self._strike(number, "before")):
                entry_status = instead.status
                return instead
            response = await self._exchange(request, call)
            entry_status = response.status
            if number and (instead := await self._strike(number, "after")):
                return instead
            return response
        finally:
            self._note(call, entry_status)

    def _number(self, call: Call) -> int:
        if not call.counts:
            return 0
        self._writes += 1
        return self._writes

    async def _strike(self, number: int, moment: str) -> web.Response | None:
        fault = self._write_fault
        return await fault.strike(number, moment) if fault else None  # type: ignore[arg-type]

    def _note(self, call: Call, status: int) -> None:
        self.record.entries.append(Entry(call=call, writer=self.writer, status=status))

    async def _exchange(self, request: web.BaseRequest, call: Call | None) -> web.Response:
        async with self._upstream(request, await request.read()) as reply:
            return web.Response(
                status=reply.status, body=await reply.read(), headers=_forwarded(reply.headers)
            )

    def _upstream(
        self, request: web.BaseRequest, body: bytes | None
    ) -> contextlib.AbstractAsyncContextManager[aiohttp.ClientResponse]:
        assert self._session is not None
        return self._session.request(
            request.method,
            f"{self._cluster.server}{request.raw_path}",
            headers=_forwarded(request.headers),
            data=body or None,
            allow_redirects=False,
        )

    async def _stream(self, request: web.BaseRequest, call: Call) -> web.StreamResponse:
        async with self._upstream(request, None) as reply:
            self._note(call, reply.status)
            response = web.StreamResponse(status=reply.status, headers=_forwarded(reply.headers))
            await response.prepare(request)
            watch = _Watch(reply)
            self._watches.add(watch)
            try:
                async for line in watch.lines():
                    if call.resource in self._frozen:
                        await self._thaw.wait()
                    if self._event_fault is not None and watch.ending is None:
                        await self._event_fault.strike()
                    await response.write(line)
                if watch.ending == b"":
                    raise Dropped
            except ConnectionResetError:
                pass  # The operator left, as it may.
            finally:
                self._watches.discard(watch)
            return response


class _Watch:
    """One watch that is being passed on, and how it is made to end."""

    def __init__(self, reply: aiohttp.ClientResponse) -> None:
        self._reply = reply
        self._interrupted = asyncio.Event()
        self.ending: bytes | None = None

    def interrupt(self, last_line: bytes | None) -> None:
        self.ending = last_line or b""
        self._interrupted.set()

    async def lines(self) -> AsyncIterator[bytes]:
        """Whole events, one at a time, until the API server or `interrupt` ends it."""
        stop = asyncio.create_task(self._interrupted.wait())
        rest = b""
        try:
            while data := await self._read_unless(stop):
                *whole, rest = (rest + data).split(b"\n")
                for line in whole:
                    yield line + b"\n"
            if self.ending:
                yield self.ending
        finally:
            stop.cancel()

    async def _read_unless(self, stop: "asyncio.Task[Any]") -> bytes:
        chunk = asyncio.create_task(self._reply.content.readany())
        try:
            await asyncio.wait({stop, chunk}, return_when=asyncio.FIRST_COMPLETED)
            return b"" if stop.done() else await chunk
        finally:
            chunk.cancel()
            await asyncio.gather(chunk, return_exceptions=True)


def _forwarded(headers: Mapping[str, str]) -> dict[str, str]:
    return {k: v for k, v in headers.items() if k.lower() not in NOT_FORWARDED}


@contextlib.asynccontextmanager
async def open_proxy(cluster: Cluster, writer: str = "operator") -> AsyncIterator[Proxy]:
    """A proxy of its own for one operator, so that the record says who wrote."""
    proxy = Proxy(cluster, writer)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.close()
