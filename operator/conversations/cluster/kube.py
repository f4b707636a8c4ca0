"""
The calls the operator makes: each method is exactly one request.

Answers come back as `core.observed` structs.  A DELETE of what is already gone is success.
"""

from contextlib import suppress
from typing import Any, TypeVar

import msgspec

from conversations.api import labels
from conversations.cluster import paths
from conversations.cluster.connection import (
    APPLY_PATCH,
    MERGE_PATCH,
    METADATA,
    Connection,
    NotFound,
)
from conversations.core.build import Manifest
from conversations.core.errors import Conflict
from conversations.core.observed import Child, Conversation, FullSecret, Meta, Pod

T = TypeVar("T")

FIELD_MANAGER = "conversation-operator"
STRICT = {"fieldValidation": "Strict"}
"""A misspelt field of a blueprint is refused, not left out: it may be the one that confines the pod."""
DRY_RUN = {"dryRun": "All"} | STRICT


class _PodList(msgspec.Struct):
    items: list[Pod]


class _Deleted(msgspec.Struct):
    """What DELETE answers: the object on its way out, or a Status when it is gone at once."""

    kind: str = ""
    metadata: Meta = msgspec.field(default_factory=lambda: Meta(name=""))


class Kube:
    """Calls in one namespace.  Raises our errors, see `Connection.request`."""

    def __init__(self, connection: Connection, namespace: str) -> None:
        self._connection = connection
        self._namespace = namespace
        self._conversations = paths.conversations(namespace)
        self._templates = paths.templates(namespace)
        self._pods = paths.core("pods", namespace)
        self._secrets = paths.core("secrets", namespace)
        self._claims = paths.core("persistentvolumeclaims", namespace)
        self._events = paths.core("events", namespace)

    async def get_conversation(self, name: str) -> Conversation | None:
        return _maybe(await self._connection.get(f"{self._conversations}/{name}"), Conversation)

    async def patch_conversation_status(
        self, conversation: Conversation, patch: dict[str, Any]
    ) -> Conversation:
        """Compare-and-swap: Conflict unless the Conversation still is the one we looked at."""
        meta = conversation.metadata
        body = {"metadata": {"resourceVersion": meta.resource_version}, "status": patch}
        payload = await self._connection.request(
            "PATCH",
            f"{self._conversations}/{meta.name}/status",
            body=body,
            content_type=MERGE_PATCH,
        )
        return msgspec.json.decode(payload, type=Conversation)

    async def create_secret(self, manifest: Manifest) -> Child:
        payload = await self._connection.request(
            "POST", self._secrets, body=manifest, accept=METADATA
        )
        return msgspec.json.decode(payload, type=Child)

    async def get_secret(self, name: str) -> Child | None:
        """Its metadata; the key bytes stay where they are."""
        return _maybe(await self._connection.get(f"{self._secrets}/{name}", accept=METADATA), Child)

    async def get_full_secret(self, name: str) -> FullSecret | None:
        """A Secret with its data, which the caller uses and forgets."""
        return _maybe(await self._connection.get(f"{self._secrets}/{name}"), FullSecret)

    async def patch_secret_owner(self, seen: Meta, owner: dict[str, Any]) -> Child:
        """Give it its only owner: Conflict unless it still is the version that was looked at."""
        body = {"metadata": {"resourceVersion": seen.resource_version, "ownerReferences": [owner]}}
        payload = await self._connection.request(
            "PATCH",
            f"{self._secrets}/{seen.name}",
            body=body,
            content_type=MERGE_PATCH,
            accept=METADATA,
        )
        return msgspec.json.decode(payload, type=Child)

    async def delete_secret(self, name: str, uid: str, resource_version: str) -> None:
        """Conflict unless it still is that very version."""
        body = {"preconditions": {"uid": uid, "resourceVersion": resource_version}}
        with suppress(NotFound):
            await self._connection.request("DELETE", f"{self._secrets}/{name}", body=body)

    async def create_claim(self, manifest: Manifest) -> Child:
        payload = await self._connection.request(
            "POST", self._claims, body=manifest, accept=METADATA
        )
        return msgspec.json.decode(payload, type=Child)

    async def get_claim(self, name: str) -> Child | None:
        return _maybe(await self._connection.get(f"{self._claims}/{name}", accept=METADATA), Child)

    async def create_pod(self, manifest: Manifest, *, dry_run: bool = False) -> Pod:
        payload = await self._connection.request(
            "POST", self._pods, body=manifest, query=DRY_RUN if dry_run else STRICT
        )
        return msgspec.json.decode(payload, type=Pod)

    async def get_pod(self, name: str) -> Pod | None:
        return _maybe(await self._connection.get(f"{self._pods}/{name}"), Pod)

    async def list_pods(self, conversation_uid: str) -> list[Pod]:
        query = {"labelSelector": f"{labels.CONVERSATION_UID}={conversation_uid}"}
        payload = await self._connection.request("GET", self._pods, query=query)
        return msgspec.json.decode(payload, type=_PodList).items

    async def delete_pod(self, name: str, uid: str) -> Meta | None:
        """
        Ask for that very pod to end, gracefully.

        Returns its metadata while it is on its way out, or None when it is gone already, or the
        name belongs to another pod by now.
        """
        body = {"preconditions": {"uid": uid}}
        try:
            payload = await self._connection.request("DELETE", f"{self._pods}/{name}", body=body)
        except NotFound:
            return None
        except Conflict:
            found = await self.get_pod(name)
            if found is None or found.metadata.uid != uid:
                return None
            raise  # It lives: the conflict was about something else.
        answer = msgspec.json.decode(payload, type=_Deleted)
        leaving = answer.kind == "Pod" and answer.metadata.deletion_timestamp is not None
        return answer.metadata if leaving else None

    async def create_event(self, manifest: Manifest) -> None:
        await self._connection.request("POST", self._events, body=manifest)

    async def get_template(self, name: str) -> bytes | None:
        return await self._connection.get(f"{self._templates}/{name}")

    async def list_templates(self) -> bytes:
        return await self._connection.request("GET", self._templates)

    async def patch_template_status(self, name: str, resource_version: str, status: Any) -> None:
        body = {"metadata": {"resourceVersion": resource_version}, "status": status}
        await self._connection.request(
            "PATCH", f"{self._templates}/{name}/status", body=body, content_type=MERGE_PATCH
        )

    async def apply_template(self, manifest: Manifest, *, dry_run: bool = False) -> bytes:
        """Server-side apply.  The chart's values are the truth for the chart's templates: force."""
        query = {"fieldManager": FIELD_MANAGER, "force": "true"} | (DRY_RUN if dry_run else {})
        return await self._connection.request(
            "PATCH",
            f"{self._templates}/{manifest['metadata']['name']}",
            query=query,
            body=manifest,
            content_type=APPLY_PATCH,
        )


def _maybe(payload: bytes | None, kind: type[T]) -> T | None:
    return None if payload is None else msgspec.json.decode(payload, type=kind)
