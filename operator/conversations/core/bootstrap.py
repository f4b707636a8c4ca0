"""
What to ask a nested OpenHands server next, until its conversation runs as declared.

Pure: `next_step` looks at what an attempt knows, attempt.py adds the answers to that.  Everything that
matters is asked of the nested server itself, so an attempt may begin after a crash at any point, or
beside another one.  Three things are subtle:

* The creation answers before the first message is stored, and failures after that answer are only
  logged.  So the history decides: it is looked at before every creation, and the conversation
  counts as started when the agent's loop does.
* What an earlier attempt told the server may have been replaced since: it is taken back first.
* A creation repeated for want of the message clones the repository again.  Over an existing clone
  that fails without harm, but for a new branch.  A clone cut short by a kill stays as it is.
"""

from dataclasses import dataclass

from conversations.core import nested
from conversations.core.attempt import Attempt, Outcome, rejected
from conversations.core.declared import Declared, Undeliverable
from conversations.core.nested import History, Request, Status, Step, Stored

STARTING_SECONDS = 200.0
"""
The runtime of a nested conversation needs 50 s on two idle cores.

One that is not up after 120 s is given up by OpenHands, which tells only its log: the status stays
STARTING for ever.
"""
LOOP_SECONDS = 120.0
"""From RUNNING, which says that there is a runtime, to the agent's loop."""
CLONING_SECONDS = 300.0
SETTING_UP_SECONDS = 700.0
"""OpenHands gives the workspace's set-up script 600 s."""
SOON_SECONDS = 10.0
MAX_LAUNCHES = 2
MAX_REMOVALS = 200

_BROKEN = frozenset(
    {"STATUS$ERROR", "STATUS$ERROR_RUNTIME_DISCONNECTED", "STATUS$ERROR_MEMORY", "STATUS$STOPPED"}
)


@dataclass(frozen=True, slots=True)
class Wait:
    """Look again after `seconds`; `why` is for people."""

    seconds: float
    why: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """This attempt leads nowhere; another one, later, may."""

    message: str


def begin(declared: Declared) -> Attempt:
    """A new attempt; one that is over where no server could be told what is declared."""
    try:
        declared.check()
    except Undeliverable as undeliverable:
        return Attempt(outcome=rejected(str(undeliverable)))
    return Attempt()


def next_step(
    declared: Declared, attempt: Attempt, now: float
) -> Request | Wait | GiveUp | Outcome:
    """What to do next; `now` in monotonic seconds."""
    if attempt.outcome is not None:
        return attempt.outcome
    match attempt.status:
        case None:
            return nested.ask(Step.LOOK, declared.sid)
        case Status.STARTING:
            return _while_starting(declared, attempt, now)
        case Status.RUNNING:
            return _while_running(declared, attempt, now)
        case _:
            return _tell(declared, attempt) or _launch(declared, attempt)


def _while_starting(declared: Declared, attempt: Attempt, now: float) -> Request | Wait | GiveUp:
    waited = _waited(attempt, now)
    if attempt.runtime_status in _BROKEN and waited > SOON_SECONDS:
        return _restart(declared, attempt, f"its runtime is {attempt.runtime_status}")
    if waited > STARTING_SECONDS:
        return _restart(declared, attempt, f"it was STARTING for {STARTING_SECONDS:g} s")
    return _wait(waited, "the nested conversation is STARTING")


def _while_running(
    declared: Declared, attempt: Attempt, now: float
) -> Request | Wait | GiveUp | Outcome:
    if attempt.history is None:
        return nested.ask(Step.NEWEST, declared.sid)
    if not attempt.history.started:
        waited = _waited(attempt, now)
        if waited > (limit := _patience(declared, attempt.history)):
            return _restart(declared, attempt, f"its agent did not start in {limit:g} s")
        return _wait(waited, "the nested conversation is RUNNING, its agent is not yet")
    if declared.wants_message and not attempt.has_message:
        if attempt.unscanned is not None:
            return nested.ask_oldest(declared.sid, attempt.unscanned)
        return _restart(declared, attempt, "it was started without its first message")
    if declared.settings is not None and attempt.stored is None:
        return nested.ask(Step.STORED, declared.sid)
    told = attempt.told_settings or declared.settings is None
    return Outcome(configured=True, finding=attempt.warning, told=told)


def _patience(declared: Declared, history: History) -> float:
    if history.busy:
        return SETTING_UP_SECONDS
    return CLONING_SECONDS if declared.repository else LOOP_SECONDS


def _waited(attempt: Attempt, now: float) -> float:
    return now - attempt.since[1] if attempt.since is not None else 0.0


def _wait(waited: float, why: str) -> Wait:
    return Wait(0.5 if waited < SOON_SECONDS else 1.0, why)


def _restart(declared: Declared, attempt: Attempt, why: str) -> Request | GiveUp:
    """Stop it, after which it is created or started anew."""
    if attempt.launches >= MAX_LAUNCHES:
        return GiveUp(f"the nested conversation does not start: {why}; the pod's log may say more")
    return nested.ask(Step.STOP, declared.sid)


def _tell(declared: Declared, attempt: Attempt) -> Request | GiveUp | None:
    """
    Settings, git providers, secrets: what is still to be told before the agent's loop may start.

    The names are looked at before the fingerprint: whatever was among them then had been told with
    the fingerprint that is there now, or with an older one.  So an attempt never removes what
    another one with the same settings is telling beside it.
    """
    if declared.settings is None:
        return None
    if attempt.names is None:
        return nested.ask(Step.NAMES, declared.sid)
    if attempt.stored is None:
        return nested.ask(Step.STORED, declared.sid)
    if not attempt.told_settings:
        return _replace_settings(declared, attempt, attempt.names, attempt.stored)
    if declared.provider_tokens and not attempt.told_tokens:
        return nested.tell_tokens(declared)
    return _tell_secrets(declared, attempt, attempt.names)


def _replace_settings(
    declared: Declared, attempt: Attempt, names: frozenset[str], stored: Stored
) -> Request | GiveUp:
    """Take back what others were told, then tell ours."""
    if names:
        return _remove(attempt, names)
    if stored.providers:
        return nested.ask(Step.UNSET, declared.sid)
    return nested.tell_settings(declared, replacing=stored.exists)


def _tell_secrets(
    declared: Declared, attempt: Attempt, names: frozenset[str]
) -> Request | GiveUp | None:
    if foreign := names - declared.secrets.keys():
        return _remove(attempt, foreign)
    if untold := declared.secrets.keys() - names:
        return nested.tell_secret(declared, min(untold))
    # Another attempt, with other settings, may have removed them meanwhile.
    return None if attempt.sure_of_names else nested.ask(Step.NAMES, declared.sid)


def _remove(attempt: Attempt, names: frozenset[str]) -> Request | GiveUp:
    if attempt.removals >= MAX_REMOVALS:
        return GiveUp("secrets: something else keeps storing secrets in the nested server")
    return nested.remove_secret(min(names))


def _launch(declared: Declared, attempt: Attempt) -> Request | GiveUp:
    if attempt.launches >= MAX_LAUNCHES:
        return GiveUp("the nested conversation stops again as soon as it is started")
    if attempt.status is Status.ABSENT:
        return nested.create(declared)
    if declared.wants_message and not attempt.has_message:
        if attempt.history is None:
            return nested.ask(Step.NEWEST, declared.sid)
        if attempt.unscanned is not None:
            return nested.ask_oldest(declared.sid, attempt.unscanned)
        return nested.create(declared)
    return nested.start(declared, providers=attempt.tokens_accepted)
