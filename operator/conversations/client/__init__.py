"""
The Python client: start, find, talk to and close conversations from asyncio.

Everything that an application needs is here; other modules of this package may change.
"""

from conversations.api.conversation import Conversation
from conversations.api.meta import Condition
from conversations.api.reasons import TERMINAL_REASONS, ConditionType, Reason
from conversations.client.access import AccessMode
from conversations.client.conversations import Conversations
from conversations.client.inputs import Inputs
from conversations.core.errors import (
    ApiRejected,
    ApiUnavailable,
    Conflict,
    ConversationError,
    ConversationFailed,
    ConversationNotFound,
    ConversationNotReady,
    DeadlineExceeded,
    FileError,
    FileMissing,
    InvalidRequest,
    NotAFile,
    PermanentError,
    RuntimeUnavailable,
    SessionConflict,
    TransientError,
    Unauthorized,
)
from conversations.runtime.download import FileStream
from conversations.runtime.files import Content, FileEntry, FileKind, FileList, UploadedFile

__all__ = [
    "TERMINAL_REASONS",
    "AccessMode",
    "ApiRejected",
    "ApiUnavailable",
    "Condition",
    "ConditionType",
    "Conflict",
    "Content",
    "Conversation",
    "ConversationError",
    "ConversationFailed",
    "ConversationNotFound",
    "ConversationNotReady",
    "Conversations",
    "DeadlineExceeded",
    "FileEntry",
    "FileError",
    "FileKind",
    "FileList",
    "FileMissing",
    "FileStream",
    "Inputs",
    "InvalidRequest",
    "NotAFile",
    "PermanentError",
    "Reason",
    "RuntimeUnavailable",
    "SessionConflict",
    "TransientError",
    "Unauthorized",
    "UploadedFile",
]
