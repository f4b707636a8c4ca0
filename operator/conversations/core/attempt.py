"""
What one attempt to configure a nested OpenHands server knows, and what it learns from an answer.
"""

from dataclasses import dataclass, replace
from typing import Any

from conversations.api.reasons import Reason
from conversations.core import nested
from conversations.core.declared import Declared
from conversations.core.errors import RuntimeUnavailable
from conversations.core.nested import Answer, History, Request, Status, Step, Stored
from conversations.core.readiness import Finding

MAX_SCANNED = 1000
_NO_SETTINGS = "CONFIGURATION$SETTINGS_NOT_FOUND"
_HINTS = {
    _NO_SETTINGS: "it has no settings",
    "STATUS$ERROR_LLM_AUTHENTICATION": "the settings have no API key for the model",
}
_NO_REPOSITORY = (
    "the repository's provider cannot be reached from the pod, or does not give it away"
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    Configured, with a finding that a person should see, if any; or refused, with the reason why.

    `told`: the settings that it runs with are those that were declared now.  Otherwise it ran already,
    with those that an earlier attempt had delivered.
    """

    configured: bool
    finding: Finding | None = None
    told: bool = False


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one attempt knows.  None: not looked at yet, or no longer sure."""

    outcome: Outcome | None = None
    # The conversation
    status: Status | None = None
    runtime_status: str | None = None
    since: tuple[Status, float] | None = None
    existed: bool | None = None
    history: History | None = None
    has_message: bool = False
    unscanned: int | None = 0
    launches: int = 0
    # What the server has stored
    stored: Stored | None = None
    names: frozenset[str] | None = None
    sure_of_names: bool = False
    removals: int = 0
    # What it was told, by this attempt or another one with the same settings
    told_settings: bool = False
    told_tokens: bool = False
    tokens_accepted: bool = False
    warning: Finding | None = None


def look_again(attempt: Attempt) -> Attempt:
    """Time has passed: nothing that changes by itself is known any more."""
    return replace(attempt, status=None, history=None, unscanned=0)


def learn(
    declared: Declared, attempt: Attempt, request: Request, answer: Answer, now: float
) -> Attempt:
    """The attempt with this answer.  RuntimeUnavailable for a disturbance, naming step and status."""
    if answer.status not in request.accepted and not (
        answer.status is None and request.may_time_out
    ):
        return replace(attempt, outcome=_refused(declared, attempt, request, answer))
    if request.method != "GET" and answer.status is not None and answer.status < 300:
        nested.read_done(answer, request)
    match request.step:
        case Step.LOOK:
            return _learn_status(attempt, answer, now)
        case Step.NEWEST | Step.OLDEST:
            return _learn_history(attempt, request, answer)
        case Step.CREATE | Step.START:
            return look_again(replace(attempt, launches=attempt.launches + 1, since=None))
        case Step.STOP:
            return look_again(replace(attempt, since=None))
        case Step.TOKENS:
            return _learn_tokens(declared, attempt, answer)
        case _:
            return _learn_stored(declared, attempt, request, answer)


def _learn_status(attempt: Attempt, answer: Answer, now: float) -> Attempt:
    status, runtime_status = nested.read_status(answer)
    since = attempt.since if attempt.since and attempt.since[0] is status else (status, now)
    existed = status is not Status.ABSENT if attempt.existed is None else attempt.existed
    return replace(
        attempt, status=status, runtime_status=runtime_status, since=since, existed=existed
    )


def _learn_history(attempt: Attempt, request: Request, answer: Answer) -> Attempt:
    if request.step is Step.NEWEST:
        history = nested.read_history(answer)
        return replace(
            attempt,
            history=history,
            has_message=attempt.has_message or history.message,
            unscanned=None if history.whole else attempt.unscanned,
        )
    found, further = nested.read_message(answer)
    # A history that long was begun by somebody; no second message for it.
    long = further is not None and further >= MAX_SCANNED
    return replace(attempt, has_message=found or long, unscanned=further)


def _learn_tokens(declared: Declared, attempt: Attempt, answer: Answer) -> Attempt:
    attempt = replace(attempt, told_tokens=True)
    if answer.status == 200:
        return replace(attempt, tokens_accepted=True)
    said = "did not answer in time" if answer.status is None else f"answered {answer.status}"
    finding = Finding(
        Reason.PROVIDERS_REJECTED,
        f"{Step.TOKENS}: the nested server {said}; the tokens are wrong, or their provider cannot be reached from the pod.",
    )
    if attempt.existed or declared.configured_before:
        return replace(attempt, warning=finding)
    return replace(attempt, outcome=Outcome(configured=False, finding=finding))


def _learn_stored(
    declared: Declared, attempt: Attempt, request: Request, answer: Answer
) -> Attempt:
    names, name = attempt.names or frozenset(), frozenset({request.subject})
    match request.step:
        case Step.STORED:
            stored = nested.read_stored(answer)
            ours = stored.exists and stored.fingerprint == declared.fingerprint
            told = ours and stored.providers
            return replace(
                attempt,
                stored=stored,
                told_settings=ours,
                told_tokens=told,
                tokens_accepted=told,
            )
        case Step.SETTINGS:
            return replace(attempt, told_settings=True)
        case Step.UNSET:
            return replace(attempt, stored=Stored(exists=True))
        case Step.NAMES:
            return replace(attempt, names=nested.read_names(answer), sure_of_names=True)
        case Step.REMOVE:
            removals = attempt.removals + 1
            return replace(attempt, names=names - name, removals=removals, sure_of_names=False)
        case _:
            # 400: another attempt with the same settings was first; others' are removed before.
            return replace(attempt, names=names | name, sure_of_names=False)


def _refused(declared: Declared, attempt: Attempt, request: Request, answer: Answer) -> Outcome:
    """A 4xx to what was told is final; everything else is a disturbance."""
    status, step = answer.status, request.step
    told = step in (Step.SETTINGS, Step.SECRET, Step.CREATE, Step.START)
    hint = _HINTS.get(_message_id(answer.body), "")
    final = status in (400, 403, 413, 415, 422)
    if hint == _HINTS[_NO_SETTINGS] and attempt.told_settings:
        final = False  # Its container was restarted since.
    if status == 401 and step is Step.CREATE and declared.repository:
        final, hint = True, _NO_REPOSITORY
    said = f"{step}: the nested server answered {status}" + (f": {hint}" if hint else "")
    if not (told and final):
        raise RuntimeUnavailable(said)
    return rejected(said)


def _message_id(body: Any) -> str:
    identifier = body.get("msg_id") if isinstance(body, dict) else None
    return identifier if isinstance(identifier, str) else ""


def rejected(message: str) -> Outcome:
    """Nothing of this kind will be taken before a person changes it."""
    finding = Finding(Reason.CONFIGURATION_REJECTED, f"{message}.")
    return Outcome(configured=False, finding=finding)
