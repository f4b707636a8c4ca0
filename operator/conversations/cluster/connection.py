"""
One authenticated connection to the API server: bytes in, bytes out, our errors.

kubernetes_asyncio brings configuration, credentials and their refresh, and TLS; its models are
not used, because they cost a hundred times the CPU of a typed partial decode
(docs/decisions/0002-typed-partial-decode.md).  This is the one place that translates the API
server's errors into ours.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self

import aiohttp
import msgspec
from kubernetes_asyncio import client as k8s
from kubernetes_asyncio import config as k8s_config

from conversations.core.errors import (
    ApiRejected,
    ApiUnavailable,
    Conflict,
    InvalidRequest,
    TransientError,
)

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

_IN_CLUSTER_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class Expired(TransientError):
    """410: that resourceVersion is too old; list again."""


class NotFound(ApiRejected):
    """404."""


class _Status(msgspec.Struct):
    message: str = ""
    reason: str = ""


class _Call(NamedTuple):
    method: str
    path: str
    query: Mapping[str, str] | None
    headers: dict[str, str]
    data: bytes | None = None


class Connection:
    """
    Requests to one API server with one identity.

    Safe for concurrent use in one event loop.  Close it, or use it as an async context manager.
    """

    def __init__(self, configuration: k8s.Configuration, namespace: str) -> None:
        self.namespace = namespace
        self._api = k8s.ApiClient(configuration)
        self._host = (configuration.host or "").rstrip("/")
        self._extra: dict[str, Any] = {}
        if configuration.proxy:
            self._extra["proxy"] = configuration.proxy
        if configuration.tls_server_name:
            self._extra["server_hostname"] = configuration.tls_server_name

    @classmethod
    async def open(cls, *, kubeconfig: str | None = None, context: str | None = None) -> Self:
        """
        Connect as kubectl would: the given kubeconfig or context, $KUBECONFIG, in a pod its service
        account, else ~/.kube/config.

        `namespace` of the connection is the context's or the service account's, or "default".
        Raises InvalidRequest where that does not name a cluster.
        """
        configuration = k8s.Configuration()
        try:
            namespace = await _configure(configuration, kubeconfig, context)
        except Exception as error:  # The loader lets out whatever its parsers raise.
            raise InvalidRequest(
                f"which cluster? {error or type(error).__name__}; set KUBECONFIG, or name a kubeconfig and context"
            ) from error
        return cls(configuration, namespace)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection; none of them is half open when this returns."""
        await self._api.close()
        await asyncio.sleep(0)  # What was hung up is closed by the loop's next turn.

    async def get(
        self, path: str, *, query: Mapping[str, str] | None = None, accept: str = JSON
    ) -> bytes | None:
        """The object's bytes, or None where there is no such object."""
        try:
            return await self.request("GET", path, query=query, accept=accept)
        except NotFound:
            return None

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = JSON,
        accept: str = JSON,
        timeout_seconds: float = 20.0,
    ) -> bytes:
        """
        One request, answered 2xx.

        Raises ApiUnavailable (no answer, 401, 429, 5xx), Conflict (409), Expired (410), NotFound (404)
        and ApiRejected (any other 4xx).
        """
        timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        data = None if body is None else msgspec.json.encode(body)
        headers = {"Accept": accept, "Content-Type": content_type}
        call = _Call(method, path, query, headers, data)
        try:
            async with await self._send(call, timeout) as response:
                payload = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiUnavailable(f"{method} {path}: {type(error).__name__}: {error}") from error
        if response.status >= 300:
            raise _translate(response, payload)
        return payload

    @asynccontextmanager
    async def stream(
        self, path: str, *, query: Mapping[str, str], accept: str = JSON, inactivity_seconds: float
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """
        The lines of a watch.  A connection that is silent for `inactivity_seconds` is given up
        with ApiUnavailable: a half-open connection looks just like a quiet one.
        """
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10.0, sock_read=inactivity_seconds)
        call = _Call("GET", path, query, {"Accept": accept})
        try:
            async with await self._send(call, timeout) as response:
                if response.status >= 300:
                    raise _translate(response, await response.read())
                try:
                    yield _lines(response)
                finally:
                    _hang_up(response)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiUnavailable(f"watch {path}: {type(error).__name__}: {error}") from error

    async def _send(self, call: _Call, timeout: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        await self._api.update_params_for_auth(call.headers, [], ["BearerToken"])
        session: aiohttp.ClientSession = self._api.rest_client.pool_manager
        return await session.request(
            call.method,
            self._host + call.path,
            params=call.query,
            headers=call.headers,
            data=call.data,
            timeout=timeout,
            allow_redirects=False,
            **self._extra,
        )


def _hang_up(response: aiohttp.ClientResponse) -> None:
    # aiohttp would say good-bye over TLS in the background, and not be done when we are closed.
    connection = response.connection
    if connection is not None and connection.transport is not None:
        connection.transport.abort()


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in response.content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line:
                yield line


def _translate(response: aiohttp.ClientResponse, payload: bytes) -> Exception:
    try:
        status = msgspec.json.decode(payload, type=_Status)
    except msgspec.DecodeError:
        status = _Status(message=payload[:200].decode(errors="replace"))
    code = response.status
    message = status.message or f"HTTP {code}"
    if code == 404:
        return NotFound(code, message, status.reason)
    if code == 409:
        return Conflict(message, status.reason)
    if code == 410:
        return Expired(message)
    if code in (401, 429) or code >= 500 or code < 400:
        return ApiUnavailable(f"{code}: {message}", _retry_after(response))
    return ApiRejected(code, message, status.reason)


def _retry_after(response: aiohttp.ClientResponse) -> float | None:
    try:
        return min(60.0, float(response.headers["Retry-After"]))
    except (KeyError, ValueError):
        return None


def uses_service_account(kubeconfig: str | None, context: str | None) -> bool:
    """Whether `Connection.open` with these arguments takes the service account of this pod."""
    named = kubeconfig or context or os.getenv("KUBECONFIG")
    return not named and _IN_CLUSTER_NAMESPACE.exists()


async def _configure(
    configuration: k8s.Configuration, kubeconfig: str | None, context: str | None
) -> str:
    if uses_service_account(kubeconfig, context):
        k8s_config.load_incluster_config(  # type: ignore[no-untyped-call]
            client_configuration=configuration
        )
        return _service_account_namespace()
    await k8s_config.load_kube_config(
        config_file=kubeconfig, context=context, client_configuration=configuration
    )
    return _context_namespace(kubeconfig, context)


def _service_account_namespace() -> str:
    return _IN_CLUSTER_NAMESPACE.read_text().strip()


def _context_namespace(kubeconfig: str | None, context: str | None) -> str:
    contexts, active = k8s_config.list_kube_config_contexts(config_file=kubeconfig)
    chosen = next((c for c in contexts if c["name"] == context), active or {"context": {}})
    return str(chosen["context"].get("namespace") or "default")


async def backoff_sleep(attempt: int, jitter: float, retry_after: float | None = None) -> None:
    """Wait before attempt `attempt` (0, 1, …): 0.2 s doubling to 10 s, times 0.5–1 by `jitter` in 0–1."""
    delay = min(10.0, 0.2 * 2 ** min(attempt, 10)) * (0.5 + jitter / 2)
    await asyncio.sleep(max(delay, retry_after or 0.0))
