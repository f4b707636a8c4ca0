"""A conversation that runs, and the ways to ask about it."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
from aiohttp import web

from tests.openhands.rig.asking import run
from tests.openhands.rig.kubelet import Kubelet
from tests.openhands.rig.misbehaviour import Answer, say
from tests.openhands.rig.nested import Nested
from tests.openhands.rig.outer import Outer
from tests.openhands.rig.routes import open_routes

FILE_ROUTES = ("list-files", "select-file", "upload-files")
ZIP = bytes(range(256)) * 20_000


@dataclass
class Running:
    """The manager's conversation, its nested server, and OpenHands' routes for its user."""

    sid: str
    user: str | None
    nested: Nested
    outer: Outer
    routes: httpx.AsyncClient

    def calm(self) -> None:
        """The nested server answers again as it should, and has been asked nothing."""
        self.nested.instead.clear()
        self.nested.calls.clear()
        self.nested.volume.files.clear()
        self.answer("vscode-url", say(200, {"vscode_url": None}))
        self.answer("web-hosts", say(200, {"hosts": {}}))

    def answer(self, end: str, answer: Answer) -> None:
        """What the nested server answers on that route from now on."""
        method = "POST" if end == "upload-files" else "GET"
        self.nested.instead[method, end] = answer

    async def get(self, end: str, sid: str | None = None, **params: str) -> httpx.Response:
        """The outer server's answer on that route."""
        path = f"/api/conversations/{sid or self.sid}/{end}"
        return await self.routes.get(path, params=params or None)

    async def ask(self, end: str, sid: str | None = None, **params: str) -> httpx.Response:
        """The outer server's answer on one of FILE_ROUTES."""
        if end == "upload-files":
            path = f"/api/conversations/{sid or self.sid}/{end}"
            return await self.routes.post(path, files=[("files", ("up.txt", b"bytes"))])
        if end == "select-file":
            params.setdefault("file", "some.txt")
        return await self.get(end, sid, **params)

    async def attach(self) -> Any:
        """What the manager gives the routes."""
        found = await self.outer.manager.attach_to_conversation(self.sid, self.user)
        assert found is not None
        return found


@contextlib.asynccontextmanager
async def open_running(
    outer: Outer, kubelet: Kubelet, sid: str, user: str | None = None
) -> AsyncIterator[Running]:
    """One that runs by now."""
    await run(outer, sid, user)
    async with open_routes(outer.manager, user=user) as routes:
        yield Running(sid, user, kubelet.nested(sid), outer, routes)


async def send_zip(request: web.Request) -> web.StreamResponse:
    """ZIP, as the zip of a workspace."""
    return web.Response(body=ZIP, content_type="application/zip")
