"""Conditions as metav1 has them: the time is that of the last flip."""

from datetime import datetime
from typing import Literal

from conversations.api.reasons import ConditionType
from conversations.core.observed import Condition
from conversations.core.readiness import Finding
from conversations.core.world import World

MAX_MESSAGE = 1024


def build_condition(
    world: World,
    kind: ConditionType,
    status: Literal["True", "False"],
    finding: Finding,
) -> Condition:
    """The condition as it is now; its time is the old one's unless the status flipped."""
    old = world.conversation.status.condition(kind)
    flipped = old is None or old.status != status
    return Condition(
        type=kind,
        status=status,
        reason=finding.reason,
        message=finding.message[:MAX_MESSAGE],
        last_transition_time=whole_seconds(world.now)
        if flipped or old is None
        else old.last_transition_time,
        observed_generation=world.conversation.metadata.generation,
    )


def whole_seconds(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)  # metav1.Time keeps no fraction.
