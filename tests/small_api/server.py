"""The store behind HTTP: LIST in pages, WATCH with bookmarks, and every way they are known to fail."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from kubernetes_asyncio import client as k8s

from conversations.cluster.connection import APPLY_PATCH, Connection
from tests.small_api.store import Change, Manifest, Refused, Store


class Server:
    """One API server on the loopback; its faults are attributes, to be set by the test."""

    def __init__(self) -> None:
        self.store = Store()
        self.url = ""
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.page_size = 500
        self.answers: list[tuple[int, str]] = []
        """Statuses and reasons that the next requests are answered with, in turn."""
        self.refusal: Callable[[str, str], tuple[int, str] | None] = lambda method, path: None
        """Status and reason that a request is answered with for as long as this says so."""
        self.answers_after_commit: list[tuple[int, str]] = []
        self.hang = asyncio.Event()
        self.hang.set()
        """Cleared: requests are taken and not answered."""
        self.is_silent = False
        """Watches stay open and say nothing any more."""
        self.hang_up_at_once = False
        self.expired_in_stream = True
        """A too old version is said in an ERROR event; else with HTTP 410."""
        self.null_items = False
        self._watches: set[web.StreamResponse] = set()
        self._changed = asyncio.Condition()

    @property
    def lists(self) -> list[dict[str, str]]:
        return [query for method, _, query in self.requests if method == "LIST"]

    @property
    def watches(self) -> list[dict[str, str]]:
        return [query for method, _, query in self.requests if method == "WATCH"]

    async def send(self, *chunks: bytes) -> None:
        """Raw bytes to every open watch, one TCP write each."""
        for chunk in chunks:
            for response in list(self._watches):
                await response.write(chunk)
            await asyncio.sleep(0.02)

    async def bookmark(self) -> None:
        """What the API server says about every minute."""
        meta = {"resourceVersion": str(self.store.version)}
        await self.send(_line("BOOKMARK", {"metadata": meta}))

    def cut(self) -> None:
        """Break every watch without a good-bye."""
        for response in list(self._watches):
            transport = response._req.transport if response._req is not None else None
            if transport is not None:
                transport.abort()

    async def tell(self) -> None:
        """Have the watches look at the store."""
        async with self._changed:
            self._changed.notify_all()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        collection, name, sub = _split(request.path)
        query = dict(request.query)
        method = request.method if name or request.method != "GET" else "LIST"
        if query.get("watch") == "true":
            method = "WATCH"
        self.requests.append((method, request.path, query))
        await self.hang.wait()
        if self.answers:
            return _status(*self.answers.pop(0))
        if (refused := self.refusal(method, request.path)) is not None:
            return _status(*refused)
        try:
            if method == "WATCH":
                return await self._watch(request, collection, query)
            answer = await self._answer(method, request, collection, name)
        except Refused as refused:
            return _status(refused.code, refused.reason, refused.message)
        await self.tell()
        if self.answers_after_commit and method != "GET":
            return _status(*self.answers_after_commit.pop(0))
        return web.json_response(answer)

    async def _answer(self, method: str, request: web.Request, collection: str, name: str) -> Any:
        if method == "LIST":
            return self._list(collection, dict(request.query))
        if method == "GET":
            return self.store.get(collection, name)
        body = await request.json()
        if "dryRun" in request.query:
            body["metadata"].setdefault("name", "made-up")
            return body
        if request.content_type == APPLY_PATCH and (collection, name) not in self.store.objects:
            method = "POST"
        if method == "POST":
            return self.store.create(collection, body)
        if method == "PUT":
            return self.store.update(collection, name, body)
        if method == "PATCH":
            return self.store.patch(collection, name, body)
        uid = (body or {}).get("preconditions", {}).get("uid", "")
        return self.store.delete(collection, name, uid=uid)

    def _list(self, collection: str, query: dict[str, str]) -> Manifest:
        items = self.store.list(collection, query.get("labelSelector", ""))
        start, version = 0, self.store.version
        if "continue" in query:
            start, version = map(int, query["continue"].split("@"))
            if version < self.store.compacted:
                raise Refused(410, "Expired", "The provided continue parameter is too old")
        end = start + min(int(query.get("limit", "500")), self.page_size)
        meta: Manifest = {"resourceVersion": str(version)}
        if end < len(items):
            meta["continue"] = f"{end}@{version}"
        page = items[start:end]
        return {"metadata": meta, "items": None if self.null_items and not page else page}

    async def _watch(
        self, request: web.Request, collection: str, query: dict[str, str]
    ) -> web.StreamResponse:
        position = int(query["resourceVersion"])
        if position < self.store.compacted and not self.expired_in_stream:
            raise Refused(410, "Expired", "too old resource version")
        response = web.StreamResponse()
        await response.prepare(request)
        if position < self.store.compacted:
            await response.write(_line("ERROR", {"code": 410, "message": "too old"}))
            return response
        if self.hang_up_at_once:
            return response
        self._watches.add(response)
        selector = query.get("labelSelector", "")

        def news() -> list[Change]:
            silent = self.is_silent
            return [] if silent else list(self.store.changes(collection, position, selector))

        try:
            while True:
                async with self._changed:
                    await self._changed.wait_for(news)
                for change in news():
                    await response.write(_line(change.kind, change.manifest))
                    position = change.version
        finally:
            self._watches.discard(response)


@asynccontextmanager
async def running_server() -> AsyncIterator[Server]:
    """An API server on a port of its own."""
    server = Server()
    app = web.Application(client_max_size=64 << 20)
    app.router.add_route("*", "/{path:.*}", server._handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    server.url = f"http://{host}:{port}"
    try:
        yield server
    finally:
        await runner.cleanup()


def connect(server: Server) -> Connection:
    """A connection of its own to that server."""
    return Connection(k8s.Configuration(host=server.url), "default")


def _split(path: str) -> tuple[str, str, str]:
    """(collection, name, subresource) of a namespaced path."""
    parts = path.strip("/").split("/")
    end = parts.index("namespaces") + 3
    name, sub = [*parts[end:], "", ""][:2]
    return "/" + "/".join(parts[:end]), name, sub


def _status(code: int, reason: str, message: str = "") -> web.Response:
    body = {"kind": "Status", "code": code, "reason": reason, "message": message or reason}
    return web.json_response(body, status=code)


def _line(kind: str, manifest: Manifest) -> bytes:
    return json.dumps({"type": kind, "object": manifest}).encode() + b"\n"
