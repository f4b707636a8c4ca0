"""HTTP to one pod: one key, one connection pool, bounded answers, no redirects, no proxies."""

import json
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx

from conversations.runtime.translation import nonsense, refusal, translated

SESSION_KEY_HEADER = "X-Session-API-Key"
CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 30.0
"""A transfer in which no byte moves for this long is broken, whatever the deadline says."""
MAX_REFUSAL_BYTES = 16 * 1024
MAX_ANSWER_BYTES = 4 * 1024 * 1024


def pod_client(url: str, key: str) -> httpx.AsyncClient:
    """For requests to one pod with its session key: no proxies, no redirects, no compression."""
    return httpx.AsyncClient(
        base_url=url,
        headers={SESSION_KEY_HEADER: key, "Accept-Encoding": "identity"},
        # An SSL context costs 20 ms; pods speak plain HTTP.
        verify=url.startswith("https:"),
        follow_redirects=False,
        # Proxies of the environment are for the outside: they must not see session keys.
        trust_env=False,
    )


class PodHttp:
    """
    Requests to one pod with its session key.

    The pool belongs to this object and the object to one pod uid: a connection is never reused for
    another pod that was given the same address.  What the pod says is as untrusted as the code
    that runs in it, so every answer but a download is read up to a limit.
    """

    def __init__(self, url: str, key: str) -> None:
        self._client = pod_client(url, key)

    async def aclose(self) -> None:
        await self._client.aclose()

    async def post_json(self, path: str, body: Mapping[str, Any], what: str) -> dict[str, Any]:
        """POST and return the JSON object answered.  How long it may take is the caller's deadline."""
        request = self._client.build_request("POST", path, json=body, timeout=_patient())
        return await self._answer(request, what)

    async def post_stream(
        self,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: AsyncIterable[bytes],
        what: str,
    ) -> dict[str, Any]:
        """POST a body of any length.  The runtime may think about it as long as the deadline allows."""
        request = self._client.build_request(
            "POST", path, params=query, headers=headers, content=body, timeout=_patient()
        )
        return await self._answer(request, what)

    @asynccontextmanager
    async def get(
        self, path: str, query: Mapping[str, str], what: str
    ) -> AsyncIterator[httpx.Response]:
        """GET whose 200 the caller reads himself, inside `translated`."""
        timeout = httpx.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS)
        request = self._client.build_request("GET", path, params=query, timeout=timeout)
        with translated(what):
            response = await self._client.send(request, stream=True)
        try:
            with translated(what):
                await _refuse_failure(response, what)
            yield response
        finally:
            await response.aclose()

    async def _answer(self, request: httpx.Request, what: str) -> dict[str, Any]:
        with translated(what):
            response = await self._client.send(request, stream=True)
            try:
                await _refuse_failure(response, what)
                raw = await _read_bounded(response, MAX_ANSWER_BYTES)
            finally:
                await response.aclose()
        return _parse(raw, what)


def _patient() -> httpx.Timeout:
    return httpx.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS, read=None)


async def _refuse_failure(response: httpx.Response, what: str) -> None:
    if response.status_code != 200:
        raw = await _read_bounded(response, MAX_REFUSAL_BYTES)
        raise refusal(response.status_code, raw or b"", what)


async def _read_bounded(response: httpx.Response, limit: int) -> bytes | None:
    raw = bytearray()
    async for chunk in response.aiter_raw():
        raw += chunk
        if len(raw) > limit:
            return None
    return bytes(raw)


def _parse(raw: bytes | None, what: str) -> dict[str, Any]:
    try:
        answer = json.loads(raw or b"")
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise nonsense(what)
    return answer
