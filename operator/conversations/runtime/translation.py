"""
Where a pod's HTTP answers and silences become errors of ours.

What the exit codes of our scripts mean is told next to each script, which knows what it was asked.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from conversations.core.errors import (
    ConversationError,
    FileError,
    FileMissing,
    NotAFile,
    RuntimeUnavailable,
    Unauthorized,
)

WORDS = 300
"""How much of a runtime's own explanation a message repeats."""

_BY_DETAIL: dict[str, type[FileError]] = {
    "File not found": FileMissing,
    "Path is not a file": NotAFile,
    "Path is a directory": NotAFile,
    "A parent of the path is not a directory": FileError,
}
_COULD_NOT = ("Failed to upload file", "Failed to download file")


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn a transport failure of `what` into RuntimeUnavailable."""
    try:
        yield
    except httpx.HTTPError as error:
        # The original holds the request, and that the session key: it is not chained.
        raise RuntimeUnavailable(f"{what}: {_name_failure(error)}") from None


def _name_failure(error: httpx.HTTPError) -> str:
    if isinstance(error, httpx.ConnectTimeout | httpx.ConnectError):
        return "the runtime does not accept connections"
    if isinstance(error, httpx.TimeoutException):
        return "the runtime has stopped answering"
    return f"the connection to the runtime broke ({type(error).__name__})"


def refusal(status: int, body: bytes, what: str) -> ConversationError:
    """The error for an answer other than 2xx."""
    detail = _detail(body)
    if status == 401:
        return Unauthorized(f"{what}: the runtime does not accept the session key")
    if (kind := _BY_DETAIL.get(detail)) is not None:
        return kind(f"{what}: {detail}")
    if 300 <= status < 400:
        return RuntimeUnavailable(
            f"{what}: the runtime answered a redirect, which is never followed"
        )
    if status == 500 and detail.startswith(_COULD_NOT):
        return FileError(f"{what}: {detail}")
    if status >= 500 or status in (404, 408, 429):
        return RuntimeUnavailable(f"{what}: the runtime answered {status} {detail}".rstrip())
    return FileError(f"{what}: the runtime answered {status} {detail}".rstrip())


def nonsense(what: str) -> RuntimeUnavailable:
    """The error for a 2xx that no agent-server gives: whatever answers there, it is not one."""
    return RuntimeUnavailable(f"{what}: the runtime's answer makes no sense")


def _detail(body: bytes) -> str:
    try:
        answer = json.loads(body)
    except ValueError:
        return ""
    detail = answer.get("detail") if isinstance(answer, dict) else None
    return detail[:WORDS] if isinstance(detail, str) else ""
