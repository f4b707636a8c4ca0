"""A thin admin's client of the API server, independent of the code under test."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, Self

import aiohttp

from conversations.api.group import API_VERSION, CONVERSATIONS, TEMPLATES
from tests.rig.cluster import Cluster

Manifest = dict[str, Any]

GROUPS = {
    CONVERSATIONS: f"/apis/{API_VERSION}",
    TEMPLATES: f"/apis/{API_VERSION}",
    "leases": "/apis/coordination.k8s.io/v1",
    "roles": "/apis/rbac.authorization.k8s.io/v1",
    "rolebindings": "/apis/rbac.authorization.k8s.io/v1",
    "poddisruptionbudgets": "/apis/policy/v1",
    "deployments": "/apis/apps/v1",
}
"""Where each namespaced resource is served; what is not listed is in the core group."""

MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"


SOCKET_CLOSING_SECONDS = 0.05


class ApiError(Exception):
    """The API server said no."""

    def __init__(self, status: int, body: str) -> None:
        self.status = status
        try:
            self.message = json.loads(body)["message"]
        except (ValueError, KeyError):
            self.message = body
        super().__init__(f"{status}: {self.message}")


def path_of(resource: str, namespace: str, name: str | None = None) -> str:
    """`path_of("pods/status", "ns", "a")` -> `/api/v1/namespaces/ns/pods/a/status`."""
    plural, _, subresource = resource.partition("/")
    parts = [GROUPS.get(plural, "/api/v1"), "namespaces", namespace, plural, name, subresource]
    return "/".join(part for part in parts if part)


async def close_session(session: aiohttp.ClientSession) -> None:
    """Close it, and give its sockets time to go too: aiohttp does not wait for TLS transports."""
    await session.close()
    await asyncio.sleep(SOCKET_CLOSING_SECONDS)


class Api:
    """JSON in and out; `namespace` is that of the test."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.cluster = cluster
        self.namespace = namespace
        headers = {"Authorization": f"Bearer {cluster.token}"} if cluster.token else {}
        self._session = aiohttp.ClientSession(
            cluster.server,
            headers=headers,
            connector=aiohttp.TCPConnector(ssl=cluster.tls or False, limit=0),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await close_session(self._session)

    async def request(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, **options: Any
    ) -> Any:
        """One request of any path; options are aiohttp's (json, data, headers)."""
        async with self._session.request(method, path, params=query, **options) as reply:
            text = await reply.text()
            if reply.status >= 400:
                raise ApiError(reply.status, text)
            return json.loads(text) if "json" in reply.content_type else text

    async def get(self, resource: str, name: str) -> Manifest | None:
        """The object, or None where there is none."""
        try:
            found: Manifest = await self.request("GET", self.path(resource, name))
        except ApiError as error:
            if error.status == 404:
                return None
            raise
        return found

    async def list(self, resource: str, **query: str) -> list[Manifest]:
        """All of them; query as in `labelSelector="a=b"`."""
        answer = await self.request("GET", self.path(resource), query=query)
        items: list[Manifest] = answer["items"]
        return items

    async def create(self, resource: str, manifest: Manifest) -> Manifest:
        return await self._write("POST", self.path(resource), json=manifest)

    async def patch(self, resource: str, name: str, patch: Manifest) -> Manifest:
        """Merge patch; resource may carry a subresource: `pods/status`."""
        headers = {"Content-Type": MERGE_PATCH}
        return await self._write(
            "PATCH", self.path(resource, name), data=json.dumps(patch), headers=headers
        )

    async def apply(self, resource: str, manifest: Manifest) -> Manifest:
        """Server-side apply as the field manager `rig`."""
        return await self._write(
            "PATCH",
            self.path(resource, manifest["metadata"]["name"]),
            params={"fieldManager": "rig", "force": "true"},
            data=json.dumps(manifest),
            headers={"Content-Type": APPLY_PATCH},
        )

    async def delete(self, resource: str, name: str, **options: Any) -> None:
        """Ask for deletion; what is gone already is fine.  Options are those of DeleteOptions."""
        try:
            await self._write("DELETE", self.path(resource, name), json=options)
        except ApiError as error:
            if error.status != 404:
                raise

    async def watch(self, resource: str, **query: str) -> AsyncIterator[tuple[str, Manifest]]:
        """(event type, object) from now on, or from `resourceVersion`; ends when the server ends it."""
        timeout = aiohttp.ClientTimeout(total=None, sock_read=None)
        params = {"watch": "true", **query}
        async with self._session.get(
            self.path(resource), params=params, timeout=timeout, read_bufsize=2**24
        ) as reply:
            if reply.status >= 400:
                raise ApiError(reply.status, await reply.text())
            async for line in reply.content:
                event = json.loads(line)
                yield event["type"], event["object"]

    def path(self, resource: str, name: str | None = None) -> str:
        return path_of(resource, self.namespace, name)

    async def _write(self, method: str, path: str, **options: Any) -> Manifest:
        params = options.pop("params", None)
        written: Manifest = await self.request(method, path, query=params, **options)
        return written
