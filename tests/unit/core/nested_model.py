"""
A small model of a nested OpenHands server: what outlives its process, what does not, and what it says.

Written from OpenHands' routes and sessions, as the contract tests confirm them with the real one.
"""

from dataclasses import dataclass, field
from typing import Any

from conversations.core.nested import Answer, Request
from conversations.core.nested import Step as S

SID = "abc"
LOADING = {
    "source": "environment",
    "observation": "agent_state_changed",
    "extras": {"agent_state": "loading"},
}
LOOP = {"source": "environment", "action": "change_agent_state"}


class Gone(Exception):
    """No connection: the container has just been restarted."""


@dataclass
class Session:
    """One agent's loop in the making: `ticks` until the next stage."""

    told: tuple[Any, ...]
    message: dict[str, Any] | None
    initialized: bool = False
    looping: bool = False
    broken: bool = False


@dataclass
class NestedModel:
    """One container after the other on one volume."""

    valid_tokens: bool = True
    # On the volume
    exists: bool = False
    events: list[dict[str, Any]] = field(default_factory=list)
    # In the container
    settings: dict[str, Any] | None = None
    tokens: dict[str, Any] = field(default_factory=dict)
    secrets: dict[str, Any] = field(default_factory=dict)
    session: Session | None = None
    # For the tests
    fails_next: int = 0
    just_restarted: bool = False
    requests: list[Request] = field(default_factory=list)

    @property
    def messages(self) -> int:
        return sum(event.get("action") == "message" for event in self.events)

    @property
    def told(self) -> tuple[Any, ...]:
        return self.settings, dict(self.tokens), dict(self.secrets)

    def restart(self) -> None:
        """Kill the container and start another."""
        self.settings, self.tokens, self.secrets, self.session = None, {}, {}, None
        self.just_restarted = True

    def tick(self) -> None:
        """Time passes: a session comes one stage further."""
        session = self.session
        if session is None or session.broken or session.looping:
            return
        if not session.initialized:
            session.initialized = True
        else:
            if session.message is not None:
                self.add({"source": "user", "action": "message", "args": session.message})
            self.add(dict(LOOP))
            session.looping = True

    def add(self, event: dict[str, Any]) -> None:
        self.events.append(event | {"id": len(self.events)})

    def answer(self, request: Request) -> Answer:
        """Do what is asked."""
        if self.just_restarted:
            self.just_restarted = False
            raise Gone
        self.requests.append(request)
        return getattr(self, f"_{request.step.name.lower()}")(request)  # type: ignore[no-any-return]

    def _look(self, _: Request) -> Answer:
        if not self.exists:
            return Answer(200, None)
        status = "STOPPED"
        if self.session is not None:
            status = "RUNNING" if self.session.initialized else "STARTING"
        return Answer(200, {"status": status, "runtime_status": None})

    def _newest(self, request: Request) -> Answer:
        limit = int(request.params["limit"])
        newest = list(reversed(self.events))
        return Answer(200, {"events": newest[:limit], "has_more": len(newest) > limit})

    def _oldest(self, request: Request) -> Answer:
        begin, limit = int(request.params["start_id"]), int(request.params["limit"])
        page = self.events[begin : begin + limit]
        return Answer(200, {"events": page, "has_more": len(self.events) > begin + limit})

    def _names(self, _: Request) -> Answer:
        return Answer(200, {"custom_secrets": [{"name": name} for name in self.secrets]})

    def _stored(self, _: Request) -> Answer:
        if self.settings is None:
            return Answer(404, {"error": "Settings not found"})
        tokens = dict.fromkeys(self.tokens)
        return Answer(200, self.settings | {"llm_api_key": None, "provider_tokens_set": tokens})

    def _settings(self, request: Request) -> Answer:
        new, old = dict(request.body), self.settings
        if old is not None:
            for kept in ("llm_api_key", "llm_base_url", "llm_model"):
                if new.get(kept) is None:
                    new[kept] = old.get(kept)
            if new.get("llm_base_url") == "":
                new["llm_base_url"] = None
        for key in ("llm_api_key", "search_api_key"):
            new[key] = (new.get(key) or "").strip() or None
        self.settings = new
        return Answer(200, {"message": "Settings stored"})

    def _tokens(self, request: Request) -> Answer:
        if not self.valid_tokens:
            return Answer(401, {"error": "Invalid token"})
        self.tokens = dict(request.body["provider_tokens"])
        return Answer(200, {"message": "Git providers stored"})

    def _unset(self, _: Request) -> Answer:
        self.tokens = {}
        return Answer(200, {"message": "Unset"})

    def _remove(self, request: Request) -> Answer:
        gone = self.secrets.pop(request.subject, None) is None
        return Answer(404, {"error": "not found"}) if gone else Answer(200, {"message": "deleted"})

    def _secret(self, request: Request) -> Answer:
        if request.body["name"] in self.secrets:
            return Answer(400, {"message": "exists"})
        self.secrets[request.body["name"]] = request.body["value"]
        return Answer(201, {"message": "created"})

    def _create(self, request: Request) -> Answer:
        if self.settings is None:
            return Answer(400, {"msg_id": "CONFIGURATION$SETTINGS_NOT_FOUND"})
        self.exists = True
        body = request.body
        wants = body["initial_user_msg"] or body["image_urls"]
        self._begin({"content": body["initial_user_msg"]} if wants else None)
        return Answer(200, {"status": "ok", "conversation_id": body["conversation_id"]})

    def _start(self, _: Request) -> Answer:
        if not self.exists or self.settings is None:
            return Answer(500, {"status": "error"})
        self._begin(None)
        return Answer(200, {"status": "ok", "conversation_id": SID})

    def _begin(self, message: dict[str, Any] | None) -> None:
        if self.session is None:
            self.session = Session(self.told, message)
            self.add(dict(LOADING))
            if self.fails_next > 0:
                self.fails_next -= 1
                self.session.initialized = self.session.broken = True

    def _stop(self, _: Request) -> Answer:
        self.session = None
        return Answer(200, {"status": "ok"})


assert {f"_{step.name.lower()}" for step in S} <= set(dir(NestedModel))
