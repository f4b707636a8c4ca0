"""What the operator's conditions mean for somebody who waits.  Pure."""

from conversations.api.conversation import Conversation
from conversations.api.meta import Condition
from conversations.api.reasons import TERMINAL_REASONS, ConditionType, Reason
from conversations.core.errors import ConversationFailed, ConversationNotReady

NOT_SEEN = "the operator has not looked at it yet"


def is_running(conversation: Conversation) -> bool:
    """Whether it can serve a request now, and nobody has just asked for a pause."""
    ready = conversation.condition(ConditionType.READY)
    return (
        ready is not None and ready.status == "True" and not _is_pause_pending(conversation, ready)
    )


def why_not_ready(conversation: Conversation) -> str | None:
    """
    None once Ready; else what it is waiting for.

    Raises ConversationFailed where waiting is useless, ConversationNotReady where it is paused.
    """
    ready = _current(conversation, ConditionType.READY)
    if ready is None:
        return NOT_SEEN
    if ready.status == "True":
        return None
    if conversation.spec.mode == "Paused":
        raise ConversationNotReady(
            Reason.PAUSED, f"{conversation.session_id!r} is paused: resume it first"
        )
    if ready.reason in TERMINAL_REASONS:
        raise ConversationFailed(ready.reason, ready.message)
    return f"{ready.reason}: {ready.message}"


def why_not_paused(conversation: Conversation) -> str | None:
    """None once the pod is gone; else what it is waiting for.  ConversationFailed if refused."""
    paused = _current(conversation, ConditionType.PAUSED)
    if paused is None:
        return NOT_SEEN
    if paused.status == "True":
        return None
    if paused.reason == Reason.PAUSE_REFUSED:
        raise ConversationFailed(paused.reason, paused.message)
    return f"{paused.reason}: {paused.message}"


def require_runtime(conversation: Conversation) -> None:
    """ConversationNotReady, with the reason, unless its runtime can serve a request now."""
    ready = conversation.condition(ConditionType.READY)
    if ready is None:
        raise ConversationNotReady(Reason.BOOTING, NOT_SEEN)
    if ready.status != "True":
        raise ConversationNotReady(ready.reason, ready.message)
    if _is_pause_pending(conversation, ready):
        raise ConversationNotReady(Reason.PAUSING, "a pause was asked for")
    if not (conversation.status.url and conversation.status.pod_uid):
        raise ConversationNotReady(Reason.BOOTING, "the operator does not name its pod yet")


def require_pod(conversation: Conversation) -> None:
    """ConversationNotReady unless it has a pod, serving or on its way to a pause."""
    if not conversation.status.pod_uid:
        raise ConversationNotReady(Reason.BOOTING, "the operator does not name its pod yet")


def _is_pause_pending(conversation: Conversation, ready: Condition) -> bool:
    # One that the operator has looked at and refused leaves the runtime as it is.
    unseen = ready.observed_generation < conversation.metadata.generation
    return conversation.spec.mode == "Paused" and unseen


def _current(conversation: Conversation, kind: ConditionType) -> Condition | None:
    condition = conversation.condition(kind)
    if condition is None or condition.observed_generation < conversation.metadata.generation:
        return None
    return condition
