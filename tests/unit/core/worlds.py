"""Conversations in the situations that the tests of plan and status have in common."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec

from conversations.api.reasons import ConditionType, Reason
from conversations.core.build import desired_hash
from conversations.core.names import children_name
from conversations.core.observed import Conversation, Status
from conversations.core.restarts import RESTART_LIMIT
from conversations.core.status import compute_status
from conversations.core.world import Memory, Refusal, World
from tests.unit.core.samples import (
    CLOCK,
    NOW,
    POD_UID,
    READY_POD,
    READY_STATUS,
    UID,
    a_conversation,
    a_pod,
    a_template,
    a_world,
    ago,
    ready_condition,
    runtime,
)

NAME = children_name(UID)
EPHEMERAL_POD = {**READY_POD, "volumes": [{"name": "workspace", "emptyDir": {}}]}
LATER = NOW + timedelta(minutes=3)
UNPULLABLE = {
    "containerStatuses": [runtime("waiting", reason="ErrImagePull", message="no such host")]
}


def ready_world(**parts: Any) -> World:
    template = parts.pop("template", a_template())
    desired = desired_hash(a_conversation(), a_template())
    pod = a_pod(**READY_POD)
    pod.metadata.annotations["conversation-operator.io/desired-hash"] = desired
    given: dict[str, Any] = {"template": template, "pods": [pod]}
    return a_world(**(given | parts))


def settled(world: World) -> World:
    """The world once its status was written, as the API server gives it back."""
    written = msgspec.convert(msgspec.to_builtins(compute_status(world)), Status)
    conversation = msgspec.structs.replace(world.conversation, status=written)
    return replace(world, conversation=conversation)


def reason(status: Status, kind: ConditionType = ConditionType.READY) -> str:
    condition = status.condition(kind)
    return condition.reason if condition is not None else ""


def paused(**parts: Any) -> World:
    return a_world(a_conversation(parts.pop("status", {}), mode="Paused"), **parts)


def refused_world() -> World:
    world = a_world()
    refusal = Refusal(Reason.QUOTA_EXCEEDED, "exceeded quota: q", world.made_from, CLOCK)
    world.memory = Memory(refusal=refusal)
    return world


def worn_out() -> Conversation:
    status = {
        "conditions": [ready_condition("False", Reason.CRASH_LOOP)],
        "restarts": RESTART_LIMIT + 1,
        "lastRestartReason": Reason.CRASH_LOOP,
    }
    return a_conversation(status)


EMPTY_DIR = {"name": "workspace", "emptyDir": {}}
TERMINAL = {"phase": "Failed"}


def lost(count: int, seconds_ago: float = 0.0, pod_uid: str = POD_UID) -> dict[str, Any]:
    """The status after that many losses, the last one that long ago."""
    return {
        "conditions": [ready_condition("False", Reason.POD_LOST)],
        "sessionKeyHash": READY_STATUS["sessionKeyHash"],
        "restarts": count,
        "lastRestartTime": ago(seconds_ago),
        "lastRestartPodUID": pod_uid,
    }


def refused(world: World, seconds: float = 30.0) -> Memory:
    refusal = Refusal(Reason.QUOTA_EXCEEDED, "full", world.made_from, CLOCK + seconds)
    return Memory(refusal=refusal)
