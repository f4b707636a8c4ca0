"""
What a Conversation's conditions mean in OpenHands' words.  Pure.

The words are the values of OpenHands' ConversationStatus and RuntimeStatus.
"""

from enum import StrEnum

from conversations.api.reasons import TERMINAL_REASONS, ConditionType, Reason
from conversations.client.watched import Watched


class LoopStatus(StrEnum):
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    ARCHIVED = "ARCHIVED"
    ERROR = "ERROR"


RUNNING_SET = frozenset({LoopStatus.STARTING, LoopStatus.RUNNING})
"""What counts as a running agent loop."""

ERRORS = TERMINAL_REASONS | {
    Reason.CRASH_LOOP,
    Reason.IMAGE_UNAVAILABLE,
    Reason.UNSCHEDULABLE,
    Reason.QUOTA_EXCEEDED,
    Reason.OUT_OF_MEMORY,
    Reason.PROVIDERS_REJECTED,
}
"""Some of these clear by themselves; until they do, the user waits for nothing."""

_LLM_AUTHENTICATION = "STATUS$ERROR_LLM_AUTHENTICATION"
_STEPS = {
    Reason.CONFIGURING: "STATUS$SETTING_UP_WORKSPACE",
    Reason.OUT_OF_MEMORY: "STATUS$ERROR_MEMORY",
    Reason.PROVIDERS_REJECTED: "STATUS$GIT_PROVIDER_AUTHENTICATION_ERROR",
}


def compute_loop_status(watched: Watched) -> LoopStatus | None:
    """None for one that is paused, or is to be."""
    if is_pausing(watched):
        return None
    ready = watched.condition(ConditionType.READY) or {}
    if ready.get("status") == "True":
        return LoopStatus.RUNNING
    if _is_volume_gone(watched):
        return LoopStatus.ARCHIVED
    # What is said about an older wish may not be true of this one.
    is_current = ready.get("observedGeneration", 0) >= watched.metadata.generation
    if is_current and ready.get("reason") in ERRORS:
        return LoopStatus.ERROR
    return LoopStatus.STARTING


def compute_runtime_status(watched: Watched, status: LoopStatus) -> str:
    """A value of OpenHands' RuntimeStatus."""
    if status is LoopStatus.RUNNING:
        return "STATUS$READY"
    ready = watched.condition(ConditionType.READY) or {}
    if status is LoopStatus.STARTING:
        return _STEPS.get(ready.get("reason", ""), "STATUS$STARTING_RUNTIME")
    if _LLM_AUTHENTICATION in ready.get("message", ""):
        return _LLM_AUTHENTICATION
    return _STEPS.get(ready.get("reason", ""), "STATUS$ERROR")


def is_running(watched: Watched) -> bool:
    """Whether it can serve a request now, and nobody has asked for a pause."""
    return compute_loop_status(watched) is LoopStatus.RUNNING


def is_pausing(watched: Watched) -> bool:
    """Whether it is paused, or is to be; one that was refused goes on."""
    return watched.spec.get("mode") == "Paused" and not is_pause_refused(watched)


def is_pause_refused(watched: Watched) -> bool:
    """Whether the operator has looked at this very wish, and keeps the pod."""
    return _is_decided(watched) and watched.reason(ConditionType.PAUSED) == Reason.PAUSE_REFUSED


def is_given_up(watched: Watched) -> bool:
    """Whether the operator replaces its pod no more until somebody asks for that."""
    return watched.reason(ConditionType.READY) == Reason.RESTART_LIMIT_REACHED


def may_drain(watched: Watched) -> bool:
    """
    Whether the agent may be stopped for a pause.

    A pause that would lose files may be refused, and the agent is to go on then.
    """
    if not is_pausing(watched):
        return False
    return watched.status.get("workspace") != "emptyDir" or _is_decided(watched)


def _is_decided(watched: Watched) -> bool:
    paused = watched.condition(ConditionType.PAUSED) or {}
    return bool(paused) and paused.get("observedGeneration", 0) >= watched.metadata.generation


def _is_volume_gone(watched: Watched) -> bool:
    lost = watched.condition(ConditionType.WORKSPACE_LOST) or {}
    return lost.get("status") == "True" and lost.get("reason") == Reason.VOLUME_GONE
