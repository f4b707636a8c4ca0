"""Errors in words that OpenHands' routes hand on: FastAPI answers an HTTPException from anywhere."""

from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import HTTPException
from socketio.exceptions import ConnectionRefusedError as SocketRefused

from conversations.core.errors import (
    ApiRejected,
    ConversationError,
    InvalidRequest,
    SessionConflict,
)

UNSUPPORTED = "unsupported_operation"


class StartRefused(HTTPException, ValueError):
    """The conversation cannot be asked for; the detail says what to do."""


class Unsupported(SocketRefused, ValueError):
    """Sockets are for the nested server, at AgentLoopInfo.url; here they are refused, not left open."""

    def __init__(self) -> None:
        super().__init__(UNSUPPORTED)


@contextmanager
def refusals() -> Iterator[None]:
    """Turn what keeps a conversation from being asked for into StartRefused."""
    try:
        yield
    except InvalidRequest as error:
        raise StartRefused(400, str(error)) from None
    except SessionConflict as error:
        raise StartRefused(409, str(error)) from None
    except ApiRejected as error:
        raise StartRefused(403, str(error)) from None
    except ConversationError as error:
        raise StartRefused(503, str(error)) from None
