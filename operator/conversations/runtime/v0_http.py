"""
HTTP to one nested OpenHands server, for callers that want httpx's own answers and errors.

Those errors carry their request, and that would carry the session key: what leaves this module has a
request of the same method and URL without any header.
"""

import asyncio
import json as json_module
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx

from conversations.runtime.pod_http import CONNECT_SECONDS, pod_client

MAX_ANSWER_BYTES = 4 * 1024 * 1024
MAX_HISTORY_BYTES = 32 * 1024 * 1024
_FRAMING = ("content-encoding", "content-length", "transfer-encoding")


class TooLarge(httpx.ReadError):
    """The answer is larger than the caller allows."""


class NestedHttp:
    """
    Requests to one pod with its session key, whole or as a stream.

    Bound to one pod uid by its owner: a connection is never reused for another pod that was given
    the same address.
    """

    def __init__(self, url: str, key: str) -> None:
        self._client = pod_client(url, key)

    async def aclose(self) -> None:
        await self._client.aclose()

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        files: Any = None,
        timeout_seconds: float,
        max_bytes: int = MAX_ANSWER_BYTES,
    ) -> httpx.Response:
        """
        The whole answer, whatever its status; `timeout_seconds` covers all of it.

        Raises httpx.TransportError; TooLarge above `max_bytes`.
        """
        async with self.stream(
            method, path, params=params, json=json, files=files, timeout_seconds=timeout_seconds
        ) as response:
            content = await _read_bounded(response, max_bytes)
        headers = [pair for pair in response.headers.multi_items() if pair[0] not in _FRAMING]
        return httpx.Response(
            response.status_code, headers=headers, content=content, request=response.request
        )

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        files: Any = None,
        timeout_seconds: float,
    ) -> AsyncIterator[httpx.Response]:
        """
        The answer with its body unread (`aiter_raw`); `timeout_seconds` covers the `async with` block.

        Raises httpx.TransportError.
        """
        request = self._client.build_request(
            method,
            path,
            params=params,
            content=None if json is None else json_module.dumps(json).encode(),
            headers=None if json is None else {"Content-Type": "application/json"},
            files=files,
            timeout=httpx.Timeout(timeout_seconds, connect=min(CONNECT_SECONDS, timeout_seconds)),
        )
        bare = httpx.Request(method, request.url)
        async with _deadline(timeout_seconds, bare):
            response = await self._send(request, bare)
            try:
                yield response
            finally:
                await response.aclose()

    async def _send(self, request: httpx.Request, bare: httpx.Request) -> httpx.Response:
        try:
            response = await self._client.send(request, stream=True)
        except httpx.TransportError as error:
            failure = type(error)(f"{type(error).__name__} from the pod", request=bare)
        else:
            response.request = bare
            return response
        # Out here the original, which holds the key, does not become its context.
        raise failure


@asynccontextmanager
async def _deadline(seconds: float, bare: httpx.Request) -> AsyncIterator[None]:
    scope = asyncio.timeout(seconds)
    try:
        async with scope:
            yield
    except TimeoutError:
        if not scope.expired():
            raise
        raise httpx.ReadTimeout(f"no whole answer in {seconds:g} s", request=bare) from None


async def _read_bounded(response: httpx.Response, limit: int) -> bytes:
    content = bytearray()
    async for chunk in response.aiter_raw():
        content += chunk
        if len(content) > limit:
            raise TooLarge(f"an answer of more than {limit} bytes", request=response.request)
    return bytes(content)
