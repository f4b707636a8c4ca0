"""The requests about Conversations and their Secrets, one function each, as the client needs them."""

import random
from base64 import b64decode
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import msgspec

from conversations.api.group import API_VERSION, CONVERSATION_KIND
from conversations.api.labels import INPUT_HASH
from conversations.client.watched import Watched, decode
from conversations.cluster.connection import (
    MERGE_PATCH,
    METADATA,
    Connection,
    NotFound,
    backoff_sleep,
)
from conversations.cluster.paths import conversations, core
from conversations.core.errors import ApiRejected, ApiUnavailable, Conflict, InvalidRequest
from conversations.runtime.deadline import Deadline

T = TypeVar("T")


class _Owner(msgspec.Struct):
    uid: str


class SecretMeta(msgspec.Struct, rename="camel"):
    name: str = ""
    uid: str = ""
    resource_version: str = ""
    owner_references: list[_Owner] = []


class Secret(msgspec.Struct):
    """Read when it is needed, and never kept."""

    metadata: SecretMeta = msgspec.field(default_factory=SecretMeta)
    type: str = ""
    data: dict[str, str] = {}

    @property
    def owner_uids(self) -> set[str]:
        return {owner.uid for owner in self.metadata.owner_references}

    def __repr__(self) -> str:
        return f"Secret({self.metadata.name!r})"


class Calls:
    """
    Each method is one request, sent again while the API server cannot answer.

    All of them are safe to send twice: a create meets its own name, the others name a uid.
    """

    def __init__(self, connection: Connection, namespace: str) -> None:
        self._connection = connection
        self._namespace = namespace
        self._collection = conversations(namespace)
        self._secrets = core("secrets", namespace)

    async def check_access(self) -> None:
        """Raise what keeps this identity from working here, in words that help."""
        try:
            await self._connection.request("GET", self._collection, query={"limit": "1"})
        except NotFound:
            raise InvalidRequest(
                "this cluster does not know Conversations: install the operator's CRDs first"
            ) from None

    async def create_conversation(
        self, name: str, spec: Mapping[str, Any], labels: Mapping[str, str], until: Deadline
    ) -> Watched | None:
        """The new Conversation; None if there is one of that name."""
        body = {
            "apiVersion": API_VERSION,
            "kind": CONVERSATION_KIND,
            "metadata": {"name": name, "labels": dict(labels)},
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

    async def patch_conversation(
        self,
        target: Watched,
        until: Deadline,
        *,
        spec: Mapping[str, Any] | None = None,
        annotations: Mapping[str, str] | None = None,
    ) -> Watched | None:
        """The Conversation with what changed; None if that very one is gone."""
        body: dict[str, Any] = {"metadata": {"uid": target.metadata.uid}}
        if annotations:
            body["metadata"]["annotations"] = dict(annotations)
        if spec:
            body["spec"] = dict(spec)
        path = f"{self._collection}/{target.metadata.name}"
        try:
            return decode(
                await self._send("PATCH", path, until, body=body, content_type=MERGE_PATCH)
            )
        except (NotFound, Conflict):
            return None
        except ApiRejected as refusal:
            # Another uid is refused as a change of an immutable field.
            current = await self.get_conversation(target.metadata.name, until)
            if current is None or current.metadata.uid != target.metadata.uid:
                return None
            if refusal.status in (400, 422):
                raise InvalidRequest(refusal.message) from None
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

    async def get_secret(self, name: str, until: Deadline) -> Secret | None:
        """A Secret, or None if there is none of that name."""
        path = f"{self._secrets}/{name}"
        payload = await _persist(lambda: self._connection.get(path), until)
        return None if payload is None else msgspec.json.decode(payload, type=Secret)

    async def get_secret_value(self, name: str, key: str, until: Deadline) -> bytes | None:
        """One value of a Secret; None if there is no such Secret or key."""
        found = await self.get_secret(name, until)
        encoded = None if found is None else found.data.get(key)
        return None if encoded is None else b64decode(encoded)

    async def create_secret(self, body: Mapping[str, Any], until: Deadline) -> bool:
        """False if there is one of that name."""
        try:
            await self._send("POST", self._secrets, until, body=body, accept=METADATA)
        except Conflict:
            return False
        except ApiRejected as refusal:
            if refusal.status in (400, 422):
                raise InvalidRequest(refusal.message) from None
            raise
        return True

    async def patch_secret(
        self, target: Secret, data: Mapping[str, str | None], input_hash: str, until: Deadline
    ) -> bool:
        """Compare-and-swap of an input's data; False if the Secret is gone, Conflict if it changed."""
        metadata = {
            "resourceVersion": target.metadata.resource_version,
            "annotations": {INPUT_HASH: input_hash},
        }
        body = {"metadata": metadata, "data": dict(data)}
        path = f"{self._secrets}/{target.metadata.name}"
        try:
            await self._send(
                "PATCH", path, until, body=body, content_type=MERGE_PATCH, accept=METADATA
            )
        except NotFound:
            return False
        return True

    async def delete_secret(self, target: Secret, until: Deadline) -> None:
        """That very Secret.  Gone already, or another of that name, is as good."""
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": target.metadata.uid},
        }
        try:
            await self._send("DELETE", f"{self._secrets}/{target.metadata.name}", until, body=body)
        except (NotFound, Conflict):
            return

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
