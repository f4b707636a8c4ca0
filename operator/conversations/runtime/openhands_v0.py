"""The nested OpenHands V0 server of one pod."""

import json
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx

from conversations.core.errors import RuntimeUnavailable, Unauthorized
from conversations.core.nested import conversation_path
from conversations.runtime.translation import translated
from conversations.runtime.v0_http import (
    MAX_ANSWER_BYTES,
    MAX_HISTORY_BYTES,
    NestedHttp,
    TooLarge,
)

KEY_CHECK = "/api/options/security-analyzers"
CHECK_SECONDS = 10.0
ASK_SECONDS = 30.0
STOP_SECONDS = 60.0


class AnswerTooLarge(RuntimeUnavailable):
    """The answer is larger than we read; ask for less."""


class OpenHandsV0:
    """
    The only I/O with nested servers, bound to one pod uid, its url and its session key.

    The methods named after what they do raise only what core/errors.py lists; `request` and `stream`
    raise httpx's own errors, for the routes of OpenHands that expect those.  None of them holds the key.
    """

    def __init__(self, pod_uid: str, url: str, key: str) -> None:
        self.pod_uid = pod_uid
        self._http = NestedHttp(url, key)

    def __repr__(self) -> str:
        return f"OpenHandsV0(pod_uid={self.pod_uid!r})"

    async def __aenter__(self) -> "OpenHandsV0":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._http.aclose()

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        files: Any = None,
        timeout_seconds: float = ASK_SECONDS,
        max_bytes: int = MAX_ANSWER_BYTES,
    ) -> httpx.Response:
        """The whole answer, whatever its status.  httpx.TransportError (a TooLarge is one) if there is none."""
        return await self._http.request(
            method,
            path,
            params=params,
            json=json,
            files=files,
            timeout_seconds=timeout_seconds,
            max_bytes=max_bytes,
        )

    def stream(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        timeout_seconds: float,
    ) -> AbstractAsyncContextManager[httpx.Response]:
        """The answer with its body unread; the deadline covers the whole `async with` block."""
        return self._http.stream(method, path, params=params, timeout_seconds=timeout_seconds)

    async def check_key(self, *, timeout_seconds: float = CHECK_SECONDS) -> None:
        """Unauthorized unless this server takes this key; the cheapest request that needs one."""
        await self._ask("GET", KEY_CHECK, "first contact", timeout_seconds=timeout_seconds)

    async def get_conversation(
        self, sid: str, *, timeout_seconds: float = ASK_SECONDS
    ) -> dict[str, Any] | None:
        """What the server says about the conversation; None if it has none of this id."""
        what = "look at the conversation"
        path = conversation_path(sid)
        answer = _parse(await self._ask("GET", path, what, timeout_seconds=timeout_seconds), what)
        if not isinstance(answer, dict | None):
            raise _nonsense(what)
        return answer

    async def stop(self, sid: str, *, timeout_seconds: float = STOP_SECONDS) -> None:
        """End the agent's loop; nothing happens if it does not run."""
        path = conversation_path(sid, "stop")
        await self._ask("POST", path, "stop", timeout_seconds=timeout_seconds)

    async def get_events(
        self, sid: str, start_id: int, limit: int = 100, *, timeout_seconds: float = ASK_SECONDS
    ) -> tuple[list[Any], bool]:
        """
        (events from `start_id` on, whether there are more); nothing for an unknown conversation.

        The events are unchecked.  AnswerTooLarge above 32 MiB.
        """
        what = "look at the history"
        path, params = conversation_path(sid, "events"), {"start_id": start_id, "limit": limit}
        response = await self._ask(
            "GET", path, what, params=params, accept=(200, 404), timeout_seconds=timeout_seconds
        )
        if response.status_code == 404:
            return [], False
        answer = _parse(response, what)
        events = answer.get("events") if isinstance(answer, dict) else None
        if not isinstance(events, list):
            raise _nonsense(what)
        return events, bool(answer.get("has_more"))

    async def post_event(
        self, sid: str, data: Mapping[str, Any], *, timeout_seconds: float = ASK_SECONDS
    ) -> None:
        """Hand an event to the agent's loop."""
        path = conversation_path(sid, "events")
        await self._ask("POST", path, "event", json=data, timeout_seconds=timeout_seconds)

    async def _ask(
        self,
        method: str,
        path: str,
        what: str,
        *,
        accept: tuple[int, ...] = (200,),
        max_bytes: int = MAX_HISTORY_BYTES,
        **options: Any,
    ) -> httpx.Response:
        with translated(what):
            try:
                response = await self.request(method, path, max_bytes=max_bytes, **options)
            except TooLarge:
                said = f"{what}: the answer is larger than {max_bytes} bytes"
                raise AnswerTooLarge(said) from None
        if response.status_code == 401:
            raise Unauthorized(f"{what}: the runtime does not accept the session key")
        if response.status_code not in accept:
            raise RuntimeUnavailable(f"{what}: the nested server answered {response.status_code}")
        return response


def _parse(response: httpx.Response, what: str) -> Any:
    try:
        return json.loads(response.content)
    except (ValueError, RecursionError):
        pass
    # The original holds what was answered.
    raise _nonsense(what)


def _nonsense(what: str) -> RuntimeUnavailable:
    return RuntimeUnavailable(f"{what}: the nested server's answer makes no sense")
