"""
Requests to the nested server of one conversation, as the routes of OpenHands want them to fail.

ValueError is their 404, httpx.TimeoutException 504, httpx.ConnectError 502, and HTTPStatusError the
status that it carries.  None of these errors holds the request that was sent: that has the key.
"""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

import httpx

from conversations.core.errors import (
    ApiUnavailable,
    ConversationNotFound,
    ConversationNotReady,
    DeadlineExceeded,
    RuntimeUnavailable,
    Unauthorized,
)
from conversations.core.nested import conversation_path
from conversations.runtime.openhands_v0 import OpenHandsV0
from conversations.runtime.v0_http import TooLarge

BAD_GATEWAY = 502
MAX_BYTES = 64 * 1024 * 1024
"""A text file of this size is the largest that is shown."""

Upload = tuple[str, tuple[str, BinaryIO, str]]
"""Field, then name, content and type: what httpx makes multipart of."""


class Runtimes(Protocol):
    """What is needed of the installation."""

    def runtime(self, sid: str, seconds: float) -> AbstractAsyncContextManager[OpenHandsV0]:
        """The server of a Ready conversation; ValueError if it is not, or another error of ours."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request about one conversation."""

    sid: str
    name: str
    """The last part of the route: `list-files`."""
    seconds: float
    params: Mapping[str, str] | None = None
    files: Sequence[Upload] | None = None

    @property
    def method(self) -> str:
        return "GET" if self.files is None else "POST"

    @property
    def path(self) -> str:
        return conversation_path(self.sid, self.name)


class NestedServers:
    """The nested servers of all conversations that are Ready."""

    def __init__(self, runtimes: Runtimes) -> None:
        self._runtimes = runtimes

    async def ask(self, call: Call) -> httpx.Response:
        """The answer, whatever its status; 401 alone raises, because the key is then given up."""
        async with self._opened(call) as nested:
            with _broken():
                response = await nested.request(
                    call.method,
                    call.path,
                    params=call.params,
                    files=call.files,
                    timeout_seconds=call.seconds,
                    max_bytes=MAX_BYTES,
                )
            _check_key(response)
            return response

    @asynccontextmanager
    async def stream(self, call: Call) -> AsyncIterator[httpx.Response]:
        """The answer with its body unread."""
        async with self._opened(call) as nested:
            with _broken():
                async with nested.stream(
                    call.method, call.path, params=call.params, timeout_seconds=call.seconds
                ) as response:
                    _check_key(response)
                    yield response

    @asynccontextmanager
    async def _opened(self, call: Call) -> AsyncIterator[OpenHandsV0]:
        with _as_the_routes_expect(call):
            async with self._runtimes.runtime(call.sid, call.seconds) as nested:
                yield nested


class _Broken(RuntimeUnavailable):
    """The way to the pod broke: whoever opened it gives it up; the routes get the httpx error."""

    def __init__(self, error: httpx.HTTPError) -> None:
        super().__init__(type(error).__name__)
        self.error = error


@contextmanager
def _broken() -> Iterator[None]:
    try:
        yield
    except httpx.HTTPError as error:
        # The original may hold the request, and that the session key: it is not chained.
        raise _Broken(_bare(error)) from None


def _bare(error: httpx.HTTPError) -> httpx.HTTPError:
    if isinstance(error, httpx.TimeoutException):
        return _silent()
    if isinstance(error, httpx.ConnectError):
        return httpx.ConnectError("the runtime does not accept connections")
    if isinstance(error, TooLarge):
        return failure(BAD_GATEWAY, f"the runtime's answer is larger than {MAX_BYTES} bytes")
    return failure(BAD_GATEWAY, f"the connection to the runtime broke: {type(error).__name__}")


def _silent() -> httpx.TimeoutException:
    return httpx.ReadTimeout("the runtime did not answer in time")


@contextmanager
def _as_the_routes_expect(call: Call) -> Iterator[None]:
    try:
        yield
    except (ConversationNotReady, ConversationNotFound):
        raise ValueError(f"Conversation {call.sid} is not running") from None
    except _Broken as broken:
        raise broken.error from None
    except DeadlineExceeded:
        raise _silent() from None
    except Unauthorized:
        raise failure(401, "the runtime does not accept the session key") from None
    except (RuntimeUnavailable, ApiUnavailable) as error:
        raise httpx.ConnectError(str(error)) from None


def _check_key(response: httpx.Response) -> None:
    if response.status_code == 401:
        raise Unauthorized("the runtime does not accept the session key")


def failure(status: int, message: str) -> httpx.HTTPStatusError:
    """The error that the routes answer with `status`; with 502 where that is no status of an error."""
    shown = status if 400 <= status <= 599 else BAD_GATEWAY
    request = httpx.Request("GET", "http://runtime/")
    return httpx.HTTPStatusError(
        message, request=request, response=httpx.Response(shown, request=request)
    )


def refused(response: httpx.Response) -> httpx.HTTPStatusError:
    """The error for an answer other than 200."""
    return failure(response.status_code, f"the runtime answered {response.status_code}")


def nonsense() -> httpx.HTTPStatusError:
    """The error for a 200 that no nested server gives."""
    return failure(BAD_GATEWAY, "the runtime's answer makes no sense")


def read_json(response: httpx.Response) -> Any:
    """What the body says, or None: a pod may send HTML, half a document, or one nested without end."""
    try:
        return response.json()
    except (ValueError, RecursionError):
        return None


def is_text(*values: object) -> bool:
    """Whether all are strings that an answer can hold: JSON can spell half of a surrogate pair."""
    try:
        return all(isinstance(value, str) and value.encode() is not None for value in values)
    except UnicodeEncodeError:
        return False
