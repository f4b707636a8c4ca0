"""How often a lost pod is replaced, and how fast."""

from datetime import datetime, timedelta

from conversations.api.reasons import ConditionType
from conversations.core.observed import Conversation, Status

RESTART_LIMIT = 6
"""Replacements in a row; then a person must look."""
STABLE = timedelta(minutes=10)
"""Ready for this long, and the next loss counts as the first again."""


def backoff_seconds(restarts: int) -> float:
    """The wait before replacement number `restarts`: none, then 10 s doubling to 5 minutes."""
    return 0.0 if restarts <= 1 else min(300.0, 10.0 * 2.0 ** (restarts - 2))


def counted_restarts(conversation: Conversation, now: datetime) -> int:
    """The number of replacements in a row that a loss at `now` makes it."""
    ready = conversation.status.condition(ConditionType.READY)
    if ready is not None and ready.status == "True" and now - ready.last_transition_time >= STABLE:
        return 1
    return restarts_in_force(conversation) + 1


def restarts_in_force(conversation: Conversation) -> int:
    """Replacements in a row so far; a spec change is a new chance."""
    if _spec_changed(conversation.metadata.generation, conversation.status):
        return 0
    return conversation.status.restarts or 0


def _spec_changed(generation: int, status: Status) -> bool:
    ready = status.condition(ConditionType.READY)
    return ready is not None and ready.observed_generation != generation
