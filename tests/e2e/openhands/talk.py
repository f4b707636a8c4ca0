"""A conversation as its user has it: through the outer server's HTTP API alone."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.rig.outer import LOOK_SECONDS, Outer
from tests.rig.waiting import eventually

RUNNING_SECONDS = 300
TURN_SECONDS = 120

Event = dict[str, Any]


@dataclass(frozen=True)
class Talk:
    """One conversation of one user."""

    outer: Outer
    sid: str
    user: str | None = None

    async def call(self, method: str, path: str = "", *, expect: int = 200, **options: Any) -> Any:
        """One request below /api/conversations/{sid}."""
        path = f"/conversations/{self.sid}{path}"
        return await self.outer.call(method, path, user=self.user, expect=expect, **options)

    async def info(self) -> Any:
        return await self.call("GET")

    async def running(self, deadline_seconds: float = RUNNING_SECONDS) -> Any:
        """Its description, once it is RUNNING."""
        return await self.becomes("RUNNING", deadline_seconds)

    async def becomes(self, status: str, deadline_seconds: float = RUNNING_SECONDS) -> Any:
        """Its description, once it has that status."""
        seen: list[Any] = [None]

        async def there() -> Any:
            await asyncio.sleep(LOOK_SECONDS)
            seen[0] = await self.info()
            return seen[0] if seen[0]["status"] == status else None

        return await eventually(there, deadline_seconds, lambda: f"{status}, not {_plain(seen[0])}")

    async def list_files(self) -> list[str]:
        """Names in the workspace, without the directory that RUNTIME=cli puts before them."""
        listed: list[str] = await self.call("GET", "/list-files")
        return [path.rstrip("/").rpartition("/")[2] for path in listed]

    async def select(self, path: str) -> str:
        answer = await self.call("GET", "/select-file", params={"file": path})
        return str(answer["code"])

    async def upload(self, files: Mapping[str, bytes]) -> Any:
        parts = [("files", (name, content)) for name, content in files.items()]
        return await self.call("POST", "/upload-files", files=parts)

    async def events(self) -> list[Event]:
        """Its history as the outer server has it, all pages."""
        events: list[Event] = []
        while True:
            query = {"start_id": events[-1]["id"] + 1 if events else 0, "limit": 100}
            page = await self.call("GET", "/events", params=query)
            events += page["events"]
            if not page["has_more"]:
                return events

    async def said(self, words: str) -> int:
        """How often the user has said it."""
        return sum(
            event.get("source") == "user"
            and event.get("action") == "message"
            and words in event.get("args", {}).get("content", "")
            for event in await self.events()
        )

    async def history_has(self, words: str, deadline_seconds: float = TURN_SECONDS) -> None:
        """Return once what an observation says is in the outer server's history."""

        seen: list[Event] = []

        async def there() -> bool:
            await asyncio.sleep(LOOK_SECONDS)
            seen[:] = await self.events()
            return any(words in str(event) for event in seen if "observation" in event)

        await eventually(there, deadline_seconds, lambda: f"{words!r} in {_shortly(seen)}")

    async def say(self, words: str) -> None:
        await self.call("POST", "/message", json={"message": words})

    async def stop(self) -> None:
        assert (await self.call("POST", "/stop"))["status"] == "ok"

    async def start(self) -> Any:
        return await self.call("POST", "/start", json={"providers_set": []})

    async def delete(self) -> None:
        assert await self.call("DELETE") is True


def please_run(command: str) -> str:
    """A message that makes the agent run it."""
    # RUNTIME=cli loses the output of a command that ends before it looks for the first line.
    return f"run: {command}; sleep 1"


async def say_hello(outer: Outer, words: str | None, user: str | None = None, **body: Any) -> Talk:
    """Make a conversation; it is STARTING."""
    body |= {"initial_user_msg": words} if words else {}
    created = await outer.call("POST", "/conversations", user=user, json=body)
    assert created["status"] == "ok"
    assert created["conversation_status"] == "STARTING", created
    return Talk(outer, created["conversation_id"], user)


def _shortly(events: list[Event]) -> str:
    """What happened last, for the message of a failed test."""
    return "\n".join(str(event)[:600] for event in events[-6:])


def _plain(info: Any) -> str:
    """What may be printed: the session key may not."""
    if not isinstance(info, dict):
        return repr(info)
    return str({key: info.get(key) for key in ("status", "runtime_status", "url")})
