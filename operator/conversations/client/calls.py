"""The requests about Conversations and their Secrets, one function each, as the client needs them."""

import random
from base64 import b64decode
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal, TypeVar

import msgspec

from conversations.api.group import API_VERSION, CONVERSATION_KIND
from conversations.client.watched import Watched, decode
from conversations.cluster.connection import MERGE_PATCH, Connection, NotFound, backoff_sleep
from conversations.cluster.paths import conversations, core
from conversations.core.errors import ApiRejected, ApiUnavailable, Conflict, InvalidRequest
from conversations.runtime.deadline import Deadline

T = TypeVar("T")


class _Secret(msgspec.Struct):
    data: dict[str, str] = {}


class Calls:
    """
    Each method is one request, sent again while the API server cannot answer.

    All of them are safe to send twice: a create meets its own name, the others name a uid.
    """

    def __init__(self, connection: Connection, namespace: str) -> None:
        self._connection = connection
        self._namespace = namespace
        self._collection = conversations(namespace)

    async def check_access(self) -> None:
        """Raise what keeps this identity from working here, in words that help."""
        try:
            await self._connection.request("GET", self._collection, query={"limit": "1"})
        except NotFound:
            raise InvalidRequest(
                "this cluster does not know Conversations: install the operator's CRDs first"
            ) from None

    async def create_conversation(
        self, name: str, spec: Mapping[str, Any], until: Deadline
    ) -> Watched | None:
        """The new Conversation; None if there is one of that name."""
        body = {
            "apiVersion": API_VERSION,
            "kind": CONVERSATION_KIND,
            "metadata": {"name": name},
            "spec": spec,
        }
        try:
            return decode(await self._send("POST", self._collection, until, body=body))
        except Conflict:
            return None
        except ApiRejected as refusal:
            if refusal.status in (400, 422):
                raise InvalidRequest(refusal.message) from None
            raise

    async def get_conversation(self, name: str, until: Deadline) -> Watched | None:
        payload = await _persist(lambda: self._connection.get(f"{self._collection}/{name}"), until)
        return None if payload is None else decode(payload)

    async def patch_mode(
        self, target: Watched, mode: Literal["Running", "Paused"], until: Deadline
    ) -> Watched | None:
        """The Conversation with its new mode; None if that very one is gone."""
        body = {"metadata": {"uid": target.metadata.uid}, "spec": {"mode": mode}}
        path = f"{self._collection}/{target.metadata.name}"
        try:
            return decode(
                await self._send("PATCH", path, until, body=body, content_type=MERGE_PATCH)
            )
        except (NotFound, Conflict):
            return None
        except ApiRejected:
            # Another uid is refused as a change of an immutable field.
            current = await self.get_conversation(target.metadata.name, until)
            if current is None or current.metadata.uid != target.metadata.uid:
                return None
            raise

    async def delete_conversation(self, target: Watched, until: Deadline) -> None:
        """Ask for its deletion.  Gone already, or another of that name, is as good."""
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": target.metadata.uid},
        }
        try:
            await self._send(
                "DELETE", f"{self._collection}/{target.metadata.name}", until, body=body
            )
        except (NotFound, Conflict):
            return

    async def get_secret_value(self, name: str, key: str, until: Deadline) -> bytes | None:
        """One value of a Secret; None if there is no such Secret or key."""
        path = f"{core('secrets', self._namespace)}/{name}"
        payload = await _persist(lambda: self._connection.get(path), until)
        if payload is None:
            return None
        encoded = msgspec.json.decode(payload, type=_Secret).data.get(key)
        return None if encoded is None else b64decode(encoded)

    async def _send(self, method: str, path: str, until: Deadline, **options: Any) -> bytes:
        return await _persist(lambda: self._connection.request(method, path, **options), until)


async def _persist(call: Callable[[], Awaitable[T]], until: Deadline) -> T:
    attempt = 0
    while True:
        try:
            return await call()
        except ApiUnavailable as error:
            until.news = str(error)
            await backoff_sleep(attempt, random.random(), error.retry_after)
            attempt += 1
