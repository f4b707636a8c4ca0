"""What a nested server writes to its volume: the history of its conversation, and files."""

import secrets
from dataclasses import dataclass, field
from typing import Any

Json = Any


@dataclass
class Volume:
    """What outlives the container."""

    created: bool = False
    title: str = ""
    microsecond: int = field(default_factory=lambda: secrets.randbelow(10**6))
    """Of all its events' times: those of another volume have others."""
    events: list[Json] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)

    @property
    def user_messages(self) -> list[str]:
        """What the user said, in order."""
        return [
            event["args"]["content"]
            for event in self.events
            if event.get("source") == "user" and event.get("action") == "message"
        ]

    def add_event(self, source: str = "agent", **fields: Json) -> Json:
        """One more event, as the event stream writes it."""
        number = len(self.events)
        minute, second = number // 60 % 60, number % 60
        event = {
            "id": number,
            "timestamp": f"2026-01-01T00:{minute:02}:{second:02}.{self.microsecond:06}",
            "source": source,
            "message": f"event {number}",
            "action": "message",
            "args": {
                "content": f"event {number}",
                "file_urls": None,
                "image_urls": None,
                "wait_for_response": False,
            },
            **fields,
        }
        if "observation" in fields:
            del event["action"], event["args"]
        self.events.append(event)
        return event

    def report_state(self, state: str) -> None:
        """What the event stream tells of the agent's state."""
        extras = {"agent_state": state, "reason": ""}
        self.add_event("environment", observation="agent_state_changed", content="", extras=extras)

    def say(self, content: str, image_urls: list[str] | None = None) -> None:
        """A message of the user's."""
        args = {
            "content": content,
            "file_urls": [],
            "image_urls": image_urls,
            "wait_for_response": False,
        }
        self.add_event("user", message=content, args=args)
