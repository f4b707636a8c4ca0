"""
Everything we raise on purpose.

    ConversationError
    ├── TransientError            trying again later may work
    │   ├── ApiUnavailable        the API server: no answer, 401, 429, 5xx
    │   ├── Conflict              the API server: 409 on a write
    │   └── RuntimeUnavailable    the pod: no answer, 5xx, or it went away in mid-transfer
    ├── PermanentError            a person must change something
    │   ├── ApiRejected           the API server: 400, 403, 404 on a write, 422
    │   ├── InvalidRequest        the caller's arguments are wrong
    │   ├── SessionConflict       the name or session id belongs to somebody else's conversation
    │   ├── ConversationFailed    the conversation cannot become what was waited for
    │   ├── ConversationNotReady  the operation needs a running conversation; it is paused or booting
    │   ├── Unauthorized          the runtime does not accept the session key
    │   └── FileError             the runtime says no to this path
    │       ├── FileMissing
    │       └── NotAFile
    ├── DeadlineExceeded          the caller's deadline passed first; also a TimeoutError
    └── ConversationNotFound      there is no such conversation

No message ever holds a session key.
"""


class ConversationError(Exception):
    """Base of everything below."""


class TransientError(ConversationError):
    """Trying again later may work."""


class ApiUnavailable(TransientError):
    """The API server did not answer, or answered 401, 429 or 5xx; `retry_after` seconds if it said so."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Conflict(TransientError):
    """409 on a write: somebody else was first.  `reason` is AlreadyExists or Conflict."""

    def __init__(self, message: str, reason: str = "Conflict") -> None:
        super().__init__(message)
        self.reason = reason


class RuntimeUnavailable(TransientError):
    """The pod does not answer, answers 5xx, or went away in mid-transfer."""


class PermanentError(ConversationError):
    """A person must change something."""


class ApiRejected(PermanentError):
    """The API server refused a request; `message` is its own words."""

    def __init__(self, status: int, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message


class InvalidRequest(PermanentError):
    """The caller's arguments are wrong."""


class SessionConflict(PermanentError):
    """A conversation of that session id exists and belongs to another user or template."""


class ConversationFailed(PermanentError):
    """The conversation cannot become what was waited for; `reason` is a word of the runbook."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message


class ConversationNotReady(PermanentError):
    """The operation needs a Ready conversation; `reason` says why it is not."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message


class Unauthorized(PermanentError):
    """The runtime does not accept the session key."""


class FileError(PermanentError):
    """The runtime says no to this path."""


class FileMissing(FileError):
    """There is no such file or directory."""


class NotAFile(FileError):
    """The path is a directory or something else that has no bytes to read."""


class DeadlineExceeded(ConversationError, TimeoutError):
    """The caller's deadline passed before the answer."""


class ConversationNotFound(ConversationError):
    """There is no such conversation."""
