"""What the operator of an OpenHands server sets, in its environment: CONVERSATIONS_*."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Self, get_args
from urllib.parse import urlsplit

from conversations.client.access import AccessMode

PREFIX = "CONVERSATIONS_"
_LABEL_VALUE = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")


class ClosePolicy(StrEnum):
    """What becomes of a conversation that is closed."""

    PAUSE = "Pause"
    """Its pod goes; key and workspace stay for the next start."""
    DELETE = "Delete"
    """Pod, key and workspace go; the history stays."""


@dataclass(frozen=True)
class ManagerSettings:
    """Process-wide values of one OpenHands server."""

    namespace: str | None = None
    template: str = "default"
    installation: str = "openhands"
    """Servers of the same installation share their conversations; others' are left alone."""
    close_policy: ClosePolicy = ClosePolicy.PAUSE
    close_seconds: float = 45.0
    """What `close_session` may take; the conversation is closed all the same."""
    public_url: str | None = None
    """Where browsers reach the gateway; without one they get the pods' own addresses."""
    kubeconfig: str | None = None
    context: str | None = None
    access: AccessMode = "auto"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """ValueError names the variable that makes no sense."""
        given = {
            name.removeprefix(PREFIX): value
            for name, value in environment.items()
            if name.startswith(PREFIX) and value
        }
        return cls(
            namespace=given.get("NAMESPACE"),
            template=given.get("TEMPLATE", cls.template),
            installation=_installation(given.get("INSTALLATION", cls.installation)),
            close_policy=_close_policy(given.get("CLOSE_POLICY", cls.close_policy)),
            close_seconds=_seconds(given.get("CLOSE_SECONDS", str(cls.close_seconds))),
            public_url=_public_url(given.get("PUBLIC_URL")),
            kubeconfig=given.get("KUBECONFIG"),
            context=given.get("CONTEXT"),
            access=_access(given.get("ACCESS", cls.access)),
        )


def _installation(value: str) -> str:
    if _LABEL_VALUE.fullmatch(value) is None:
        raise ValueError(
            f"{PREFIX}INSTALLATION={value!r}: at most 63 letters, digits, '-', '_' and '.', "
            "a letter or digit at both ends"
        )
    return value


def _close_policy(value: str) -> ClosePolicy:
    if value not in set(ClosePolicy):
        raise ValueError(f"{PREFIX}CLOSE_POLICY={value!r}: it is one of {', '.join(ClosePolicy)}")
    return ClosePolicy(value)


def _access(value: str) -> AccessMode:
    for mode in get_args(AccessMode):
        if value == mode:
            return mode
    raise ValueError(f"{PREFIX}ACCESS={value!r}: it is one of {', '.join(get_args(AccessMode))}")


def _seconds(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds <= 3600:
        raise ValueError(f"{PREFIX}CLOSE_SECONDS={value!r}: a number from 1 to 3600")
    return seconds


def _public_url(value: str | None) -> str | None:
    if value is None:
        return None
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"{PREFIX}PUBLIC_URL={value!r}: an http or https URL without a query")
    return value.rstrip("/")
