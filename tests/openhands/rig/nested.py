"""
A nested OpenHands server that a test can read and can make misbehave.

It answers as openhands-ai 1.6.0 does where nothing else is said: the routes that the bootstrap, the
manager, the mirror and the file methods call.  The real one is used where its own meaning matters.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from tests.openhands.rig.misbehaviour import Answer
from tests.openhands.rig.nested_files import FileRoutes
from tests.openhands.rig.volume import Json, Volume

KEY_HEADER = "X-Session-API-Key"
CREATE_FIELDS = {
    "repository",
    "git_provider",
    "selected_branch",
    "initial_user_msg",
    "image_urls",
    "replay_json",
    "suggested_task",
    "create_microagent",
    "conversation_instructions",
    "mcp_config",
    "conversation_id",
}
MAX_PAGE = 100


@dataclass(frozen=True)
class Call:
    """One request as the server got it."""

    method: str
    path: str
    query: dict[str, str]
    key: str | None
    body: bytes

    @property
    def json(self) -> Json:
        return json.loads(self.body)


class Nested:
    """The server of one conversation, from container to container."""

    def __init__(self, sid: str) -> None:
        self.sid = sid
        self.volume = Volume()
        self.calls: list[Call] = []
        self.instead: dict[tuple[str, str], Answer] = {}
        """By method and end of the path: what is answered instead."""
        self.seconds_starting = 0.1
        self.status = "STOPPED"
        self.settings: Json = None
        self.secrets: dict[str, Json] = {}
        self.tokens: Json = None
        self.key = ""
        self.url = ""
        self._runner: web.AppRunner | None = None
        self._loop: asyncio.Task[None] | None = None

    # --- what a test asks

    def called(self, method: str, end: str) -> list[Call]:
        """The requests of that method whose path ends so."""
        return [c for c in self.calls if c.method == method and c.path.endswith(end)]

    @property
    def user_messages(self) -> list[str]:
        """What the user said, in order."""
        return self.volume.user_messages

    def add_event(self, source: str = "agent", **fields: Json) -> Json:
        """One more event, as the event stream writes it."""
        return self.volume.add_event(source, **fields)

    def say(self, content: str, image_urls: list[str] | None = None) -> None:
        """A message of the user's."""
        self.volume.say(content, image_urls)

    # --- what the kubelet does

    async def start(
        self, address: str, port: int, key: str, env: Mapping[str, str] | None = None
    ) -> None:
        """A container with that key, and environment, starts to listen."""
        self.key = key
        self.url = f"http://{address}:{port}"
        # As the image's entry point does: an earlier container's settings are not this one's.
        self.settings, self.secrets, self.tokens, self.status = None, {}, None, "STOPPED"
        app = web.Application(middlewares=[self._guard], client_max_size=2**30)
        self._route(app.router)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, handle_signals=False)
        await self._runner.setup()
        await web.TCPSite(self._runner, address, port).start()

    async def stop(self) -> None:
        """The container is killed."""
        if self._loop is not None:
            self._loop.cancel()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        self.status = "STOPPED"

    # --- the routes

    def _route(self, router: web.UrlDispatcher) -> None:
        talk = "/api/conversations/{sid}"
        router.add_get("/alive", self._alive)
        router.add_get("/api/options/security-analyzers", self._get_analyzers)
        router.add_get("/api/settings", self._get_settings)
        router.add_post("/api/settings", self._post_settings)
        router.add_post("/api/add-git-providers", self._post_providers)
        router.add_get("/api/secrets", self._get_secrets)
        router.add_post("/api/secrets", self._post_secret)
        router.add_delete("/api/secrets/{name}", self._delete_secret)
        router.add_post("/api/conversations", self._create)
        router.add_get(talk, self._get)
        router.add_post(f"{talk}/start", self._start)
        router.add_post(f"{talk}/stop", self._stop)
        router.add_get(f"{talk}/events", self._get_events)
        router.add_post(f"{talk}/events", self._post_event)
        files = FileRoutes(lambda: self.volume.files)
        router.add_get(f"{talk}/list-files", files.list_files)
        router.add_get(f"{talk}/select-file", files.select_file)
        router.add_post(f"{talk}/upload-files", files.upload_files)

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.path == "/alive":
            return await self._alive(request)
        body = await request.read()
        key = request.headers.get(KEY_HEADER)
        self.calls.append(Call(request.method, request.path, dict(request.query), key, body))
        if key != self.key:
            return web.json_response({"detail": "Unauthorized"}, status=401)
        for (method, end), answer in self.instead.items():
            if request.method == method and request.path.endswith(end):
                return await answer(request)
        response: web.StreamResponse = await handler(request)
        return response

    async def _alive(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _get_analyzers(self, request: web.Request) -> web.Response:
        return web.json_response(["invariant"])

    async def _get_settings(self, request: web.Request) -> web.Response:
        if self.settings is None:
            return web.json_response({"error": "Settings not found"}, status=404)
        return web.json_response(self.settings)

    async def _post_settings(self, request: web.Request) -> web.Response:
        self.settings = await request.json()
        return web.json_response({"message": "Settings stored"})

    async def _post_providers(self, request: web.Request) -> web.Response:
        self.tokens = (await request.json())["provider_tokens"]
        return web.json_response({"message": "Git providers stored"})

    async def _get_secrets(self, request: web.Request) -> web.Response:
        known = [{"name": n, "description": s["description"]} for n, s in self.secrets.items()]
        return web.json_response({"custom_secrets": known})

    async def _post_secret(self, request: web.Request) -> web.Response:
        secret = await request.json()
        if secret["name"] in self.secrets:
            words = f"Secret {secret['name']} already exists"
            return web.json_response({"message": words}, status=400)
        self.secrets[secret["name"]] = secret
        return web.json_response({"message": "Secret created successfully"}, status=201)

    async def _delete_secret(self, request: web.Request) -> web.Response:
        if self.secrets.pop(request.match_info["name"], None) is None:
            return web.json_response({"error": "Secret not found"}, status=404)
        return web.json_response({"message": "Secret deleted successfully"})

    async def _create(self, request: web.Request) -> web.Response:
        body = await request.json()
        if set(body) - CREATE_FIELDS:
            return web.json_response({"detail": "extra_forbidden"}, status=422)
        if self.settings is None:
            return self._refuse("CONFIGURATION$SETTINGS_NOT_FOUND")
        if not (self.settings.get("llm_api_key") or "").strip():
            return self._refuse("STATUS$ERROR_LLM_AUTHENTICATION")
        self.volume.created = True
        await self._run(body.get("initial_user_msg"), body.get("image_urls"))
        return self._accept()

    def _refuse(self, msg_id: str) -> web.Response:
        body = {"status": "error", "message": "words", "msg_id": msg_id}
        return web.json_response(body, status=400)

    def _accept(self) -> web.Response:
        body = {"status": "ok", "conversation_id": self.sid, "conversation_status": self.status}
        return web.json_response({**body, "message": None})

    async def _start(self, request: web.Request) -> web.Response:
        if not self.volume.created:
            body = {"status": "error", "conversation_id": self.sid}
            return web.json_response(body, status=404)
        await self._run(None, None)
        return self._accept()

    async def _run(self, message: str | None, image_urls: list[str] | None) -> None:
        if self.status != "STOPPED":
            return
        self.status = "STARTING"

        async def begin() -> None:
            self.volume.report_state("loading")
            await asyncio.sleep(self.seconds_starting)
            self.status = "RUNNING"
            if message is not None:
                self.say(message, image_urls)
            state = "awaiting_user_input" if message is None else "running"
            args = {"agent_state": state, "thought": ""}
            self.add_event("environment", action="change_agent_state", args=args)

        self._loop = asyncio.create_task(begin())

    async def _get(self, request: web.Request) -> web.Response:
        if not self.volume.created:
            return web.json_response(None)
        running = self.status == "RUNNING"
        return web.json_response(
            {
                "conversation_id": self.sid,
                "title": self.volume.title or f"Conversation {self.sid[:5]}",
                "status": self.status,
                "runtime_status": "STATUS$READY" if running else None,
                "created_at": "2026-01-01T00:00:00Z",
                "last_updated_at": "2026-01-01T00:00:00Z",
                "num_connections": 0,
                "url": f"/api/conversations/{self.sid}",
                "session_api_key": None,
            }
        )

    async def _stop(self, request: web.Request) -> web.Response:
        self.status = "STOPPED"
        words = "Conversation stopped successfully"
        return web.json_response({"status": "ok", "conversation_id": self.sid, "message": words})

    async def _get_events(self, request: web.Request) -> web.Response:
        if not self.volume.created:
            return web.json_response({"detail": "not found"}, status=404)
        first, limit = int(request.query.get("start_id", 0)), int(request.query.get("limit", 20))
        if not 0 < limit <= MAX_PAGE:
            return web.json_response({"detail": "Invalid limit"}, status=400)
        last = int(request.query.get("end_id", len(self.volume.events)))
        found = self.volume.events[first : last + 1]
        if request.query.get("reverse", "").lower() == "true":
            found.reverse()
        return web.json_response({"events": found[:limit], "has_more": len(found) > limit})

    async def _post_event(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.add_event("user", **body)
        return web.json_response({"success": True})
