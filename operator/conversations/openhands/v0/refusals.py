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
from conversations.openhands.v0.sids import check_sid

UNSUPPORTED = "unsupported_operation"


class Refused(HTTPException, ValueError):
    """What was asked for cannot be done; the detail says why, and what to do."""


class Unsupported(SocketRefused, ValueError):
    """Sockets are for the nested server, at AgentLoopInfo.url; here they are refused, not left open."""


def checked(sid: str) -> str:
    """The sid; Refused if it is no id of a conversation."""
    try:
        return check_sid(sid)
    except ValueError as error:
        raise Refused(400, str(error)) from None


@contextmanager
def refusals() -> Iterator[None]:
    """Turn what keeps a conversation from being asked for into Refused."""
    try:
        yield
    except InvalidRequest as error:
        raise Refused(400, str(error)) from None
    except SessionConflict as error:
        raise Refused(409, str(error)) from None
    except ApiRejected as error:
        raise Refused(403, str(error)) from None
    except ConversationError as error:
        raise Refused(503, str(error)) from None
