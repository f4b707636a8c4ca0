"""A Conversation as the watch keeps it: cheap to decode, and indifferent to words it does not know."""

from functools import cached_property
from typing import Any

import msgspec

from conversations.api.conversation import Conversation
from conversations.api.labels import INSTALLATION


class WatchedMeta(msgspec.Struct, rename="camel"):
    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = "0"
    generation: int = 0
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class Watched(msgspec.Struct, dict=True):
    metadata: WatchedMeta
    spec: dict[str, Any] = {}
    status: dict[str, Any] = {}

    @property
    def session_id(self) -> str:
        return self.spec.get("sessionID") or self.metadata.name

    @property
    def user(self) -> str | None:
        return self.spec.get("user")

    @property
    def installation(self) -> str | None:
        """The OpenHands installation that made it."""
        return self.metadata.labels.get(INSTALLATION)

    @property
    def pod_uid(self) -> str | None:
        return self.status.get("podUID")

    def condition(self, kind: str) -> dict[str, Any] | None:
        """The condition of that type as it was sent: quicker than the model's."""
        conditions: list[dict[str, Any]] = self.status.get("conditions") or []
        return next((c for c in conditions if c.get("type") == kind), None)

    def reason(self, kind: str) -> str | None:
        """That condition's reason."""
        condition = self.condition(kind)
        return None if condition is None else condition.get("reason")

    @property
    def is_terminating(self) -> bool:
        return self.metadata.deletion_timestamp is not None

    @cached_property
    def model(self) -> Conversation:
        """What callers get; made when first asked for, because it costs more than the decoding."""
        return Conversation.model_validate(msgspec.to_builtins(self))


def decode(payload: bytes) -> Watched:
    """One object out of an answer of the API server."""
    return msgspec.json.decode(payload, type=Watched)
