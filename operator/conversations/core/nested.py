"""
A nested OpenHands server as the bootstrap speaks to it: the requests, and what the answers mean.

An answer is as untrusted as the code that runs beside the server: whatever has another shape than
OpenHands' own is RuntimeUnavailable, naming the step and never the text.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import quote

from conversations.core.declared import FINGERPRINT, Declared
from conversations.core.errors import RuntimeUnavailable

PAGE = 20
"""Events in one answer: they may hold screenshots.  OpenHands gives 100 at most."""
ASK_SECONDS = 30.0
TOKENS_SECONDS = 45.0
"""OpenHands tries up to six services for one token, 5 s each where nothing leaves the pod."""
LAUNCH_SECONDS = 60.0


class Step(StrEnum):
    """What a request is for, as messages call it."""

    LOOK = "look at the conversation"
    NEWEST = "look at the history"
    OLDEST = "look at the history's beginning"
    NAMES = "look at the stored secrets"
    STORED = "look at the stored settings"
    SETTINGS = "settings"
    TOKENS = "git providers"
    UNSET = "removal of git providers"
    REMOVE = "removal of a secret"
    SECRET = "secrets"
    CREATE = "creation"
    START = "start"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Request:
    """
    One request; a status not in `accepted` is a refusal or a disturbance (`refuse`).

    `subject`: the name of the secret, or the session id, that it is about.  `may_time_out`: no answer in time is an
    answer, too.
    """

    step: Step
    method: str
    path: str
    body: Any = field(default=None, repr=False)
    params: Mapping[str, str] = field(default_factory=dict)
    accepted: frozenset[int] = frozenset({200})
    timeout_seconds: float = ASK_SECONDS
    subject: str = ""
    may_time_out: bool = False


UNREADABLE: Any = object()
"""The body of an answer that is not JSON."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status (None: none came in time, which only `may_time_out` allows) and the JSON body, or UNREADABLE."""

    status: int | None
    body: Any = field(default=None, repr=False)


class Status(StrEnum):
    """What the nested server says about the conversation."""

    ABSENT = "ABSENT"
    STOPPED = "STOPPED"
    STARTING = "STARTING"
    RUNNING = "RUNNING"


@dataclass(frozen=True, slots=True)
class History:
    """
    What the newest events say.

    `message`: a user's message is among them.  `whole`: there are no older ones.  `started`: the
    agent's loop runs.  `busy`: it does not, because the workspace's set-up script still does.
    """

    message: bool
    whole: bool
    started: bool
    busy: bool


@dataclass(frozen=True, slots=True)
class Stored:
    """What the server keeps: settings, of which document, and whether any git providers."""

    exists: bool
    fingerprint: int | None = None
    providers: bool = False


def conversation_path(sid: str, *more: str) -> str:
    """Below /api/conversations; `sid` of any letters."""
    return "/".join(("/api/conversations", quote(sid, safe=""), *more))


def ask(step: Step, sid: str) -> Request:
    """One of the steps that have no body."""
    match step:
        case Step.LOOK:
            return Request(step, "GET", conversation_path(sid))
        case Step.NEWEST:
            params = {"reverse": "true", "limit": str(PAGE)}
            return Request(step, "GET", conversation_path(sid, "events"), params=params)
        case Step.NAMES:
            return Request(step, "GET", "/api/secrets")
        case Step.STORED:
            # 404: there are none.
            return Request(step, "GET", "/api/settings", accepted=frozenset({200, 404}))
        case Step.UNSET:
            return Request(step, "POST", "/api/unset-provider-tokens")
        case Step.STOP:
            path = conversation_path(sid, "stop")
            return Request(step, "POST", path, timeout_seconds=LAUNCH_SECONDS)
        case _:
            raise ValueError(step)


def ask_oldest(sid: str, start: int) -> Request:
    params = {"start_id": str(start), "limit": str(PAGE)}
    return Request(Step.OLDEST, "GET", conversation_path(sid, "events"), params=params)


def tell_settings(declared: Declared, *, replacing: bool) -> Request:
    body = declared.settings_body(replacing=replacing)
    return Request(Step.SETTINGS, "POST", "/api/settings", body)


def tell_tokens(declared: Declared) -> Request:
    return Request(
        Step.TOKENS,
        "POST",
        "/api/add-git-providers",
        {"provider_tokens": declared.provider_tokens},
        # Each of these is the server's no to the tokens.
        accepted=frozenset({200, 400, 401, 403, 422}),
        timeout_seconds=TOKENS_SECONDS,
        may_time_out=True,
    )


def tell_secret(declared: Declared, name: str) -> Request:
    secret = declared.secrets[name]
    body = {"name": name, "description": secret.get("description"), "value": secret["value"]}
    # 400: there is one of this name.
    accepted = frozenset({201, 400})
    return Request(Step.SECRET, "POST", "/api/secrets", body, accepted=accepted, subject=name)


def remove_secret(name: str) -> Request:
    path = f"/api/secrets/{quote(name, safe='')}"
    return Request(Step.REMOVE, "DELETE", path, accepted=frozenset({200, 404}), subject=name)


def create(declared: Declared) -> Request:
    return Request(
        Step.CREATE,
        "POST",
        "/api/conversations",
        declared.creation_body(),
        timeout_seconds=LAUNCH_SECONDS,
        subject=declared.sid,
    )


def start(declared: Declared, *, providers: bool) -> Request:
    return Request(
        Step.START,
        "POST",
        conversation_path(declared.sid, "start"),
        {"providers_set": sorted(declared.provider_tokens) if providers else []},
        timeout_seconds=LAUNCH_SECONDS,
    )


def read_done(answer: Answer, request: Request) -> None:
    """RuntimeUnavailable unless OpenHands itself says that it has done what was asked."""
    body = _object(answer, request.step)
    if request.step is Step.CREATE and body.get("conversation_id") != request.subject:
        raise nonsense(request.step)


def read_status(answer: Answer) -> tuple[Status, str | None]:
    """(status, runtime status) of LOOK; `null` means that there is no such conversation."""
    if answer.body is None:
        return Status.ABSENT, None
    body = _object(answer, Step.LOOK)
    runtime_status = body.get("runtime_status")
    try:
        status = Status(body["status"])
    except (KeyError, ValueError, TypeError):
        raise nonsense(Step.LOOK) from None
    return status, runtime_status if isinstance(runtime_status, str) else None


def read_names(answer: Answer) -> frozenset[str]:
    """Names of NAMES, but for those that no request could remove."""
    secrets = _object(answer, Step.NAMES).get("custom_secrets") or []
    if not isinstance(secrets, list) or not all(isinstance(secret, dict) for secret in secrets):
        raise nonsense(Step.NAMES)
    names = {secret.get("name") for secret in secrets}
    return frozenset(name for name in names if isinstance(name, str) and _has_path(name))


def read_stored(answer: Answer) -> Stored:
    """Of STORED."""
    if answer.status == 404:
        return Stored(exists=False)
    body = _object(answer, Step.STORED)
    fingerprint = body.get(FINGERPRINT)
    return Stored(
        exists=True,
        fingerprint=fingerprint if isinstance(fingerprint, int) else None,
        providers=bool(body.get("provider_tokens_set")),
    )


def read_history(answer: Answer) -> History:
    """Of NEWEST, whose first event is the newest."""
    events, more = _events(answer, Step.NEWEST)
    loading = next((n for n, event in enumerate(events) if _is_loading(event)), None)
    recent = events[:loading]
    # A loop that was started long ago has left the page.
    started = any(event.get("action") == "change_agent_state" for event in recent)
    return History(
        message=any(map(_is_message, events)),
        whole=not more,
        started=started or (loading is None and more),
        busy=any(event.get("action") == "run" for event in recent),
    )


def read_message(answer: Answer) -> tuple[bool, int | None]:
    """Of OLDEST: whether a user's message is there; if not, the event to go on from, if there is one."""
    events, more = _events(answer, Step.OLDEST)
    if any(map(_is_message, events)):
        return True, None
    last = events[-1].get("id") if events else None
    if more and not isinstance(last, int):
        raise nonsense(Step.OLDEST)
    return False, last + 1 if more and isinstance(last, int) else None


def nonsense(step: Step) -> RuntimeUnavailable:
    """The error for an answer that no OpenHands gives: whatever answers there, it is not one."""
    return RuntimeUnavailable(f"{step}: the nested server's answer makes no sense")


def _object(answer: Answer, step: Step) -> dict[str, Any]:
    if not isinstance(answer.body, dict):
        raise nonsense(step)
    return answer.body


def _events(answer: Answer, step: Step) -> tuple[list[dict[str, Any]], bool]:
    body = _object(answer, step)
    events = body.get("events")
    if not isinstance(events, list) or not all(isinstance(event, dict) for event in events):
        raise nonsense(step)
    return events, bool(body.get("has_more"))


def _is_message(event: dict[str, Any]) -> bool:
    return event.get("source") == "user" and event.get("action") == "message"


def _is_loading(event: dict[str, Any]) -> bool:
    """The first event of every start of the agent's loop."""
    extras = event.get("extras")
    return (
        event.get("observation") == "agent_state_changed"
        and isinstance(extras, dict)
        and extras.get("agent_state") == "loading"
    )


def _has_path(name: str) -> bool:
    return bool(name) and "/" not in name and name not in (".", "..") and name.isprintable()
