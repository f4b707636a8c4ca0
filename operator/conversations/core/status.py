"""
The status of a conversation, computed from what is seen.

Nothing is accumulated here but what cannot be seen again: the number of replacements, how long
the start took, and that a workspace was lost.
"""

from typing import Any, Literal

import msgspec

from conversations.api.labels import DESIRED_HASH, SESSION_KEY_HASH
from conversations.api.reasons import TERMINAL_REASONS, ConditionType, Reason
from conversations.core.actions import RecordLoss
from conversations.core.build import desired_hash
from conversations.core.conditions import build_condition
from conversations.core.configuration import (
    applied_settings,
    explain_configured,
    is_configured,
    wants_configuration,
    why_not_configured,
)
from conversations.core.names import children_name
from conversations.core.observed import Condition, Pod, Status
from conversations.core.plan import drain_seconds, pause_refused
from conversations.core.readiness import BOOTING, Finding, explain_pod
from conversations.core.restarts import RESTART_LIMIT, counted_restarts, restarts_in_force
from conversations.core.start import why_not_start
from conversations.core.world import World

PROGRESS_SECONDS = 2.0
"""A state on the way is reported when it has lasted this long: a quick start is one write."""
EMPTY_DIR = "emptyDir"
_USED_UP = (
    "The runtime pod was stopped for a pause that was taken back; a new one starts when it is gone."
)
_SAVING = "The pod stays, 30 s at most, until the manager that made it has saved its history."

# What kubelet says of these changes with every try; the first words stay, or each try were a write.
_STEADY = {Reason.IMAGE_UNAVAILABLE, Reason.CONFIG_ERROR}


def compute_status(world: World) -> Status:
    """What is true of the conversation now; equal to the old status where nothing changed."""
    old, pod = world.conversation.status, world.pod
    finding = explain_readiness(world)
    conditions = [_ready(finding, world)]
    conditions += _paused(finding, world)
    conditions += _up_to_date(world)
    conditions += _configured(world)
    conditions += _still_lost(old)
    settled_pause = finding.reason == Reason.PAUSED
    return Status(
        phase=_phase(finding),
        conditions=conditions,
        pod_name=pod.metadata.name if pod is not None else None,
        pod_uid=pod.metadata.uid if pod is not None else None,
        url=_url(world, finding),
        session_key_secret=children_name(world.uid) if world.secret is not None else None,
        session_key_hash=_key_hash(world),
        workspace=_workspace(world, finding),
        initialized_container_id=_initialized(world),
        applied_settings=applied_settings(world),
        restarts=None if settled_pause else restarts_in_force(world.conversation) or None,
        last_restart_time=old.last_restart_time,
        last_restart_reason=old.last_restart_reason,
        last_restart_pod_uid=old.last_restart_pod_uid,
        startup_milliseconds=_startup(world, finding),
    )


def compute_loss(world: World, loss: RecordLoss) -> Status:
    """The status that records a loss: the attempt is counted before anything replaces the pod."""
    old = world.conversation.status
    finding = Finding(loss.reason, loss.message)
    conditions = [_ready(finding, world), *_still_lost(old)]
    if old.workspace == EMPTY_DIR and old.condition(ConditionType.WORKSPACE_LOST) is None:
        lost = "The pod was lost, and the files in its emptyDir with it."
        conditions.append(_workspace_lost(world, Reason.POD_REPLACED, lost))
    return msgspec.structs.replace(
        old,
        phase="Pending",
        conditions=conditions,
        pod_name=None,
        pod_uid=None,
        url=None,
        workspace=None if old.workspace == EMPTY_DIR else old.workspace,
        restarts=counted_restarts(world.conversation, world.now),
        last_restart_time=world.now.replace(microsecond=0),
        last_restart_reason=loss.reason,
        last_restart_pod_uid=loss.pod_uid,
        startup_milliseconds=None,
    )


def compute_volume_gone(world: World) -> Status:
    """The status that says so before an empty volume takes the place of the lost one."""
    old = world.conversation.status
    gone = f"The PersistentVolumeClaim {old.workspace} is gone, and the files on it."
    others = [c for c in old.conditions if c.type != ConditionType.WORKSPACE_LOST]
    lost = _workspace_lost(world, Reason.VOLUME_GONE, gone)
    return msgspec.structs.replace(old, conditions=[*others, lost], workspace=None)


def explain_readiness(world: World) -> Finding:
    """The first rule that matches wins, so the order of the rules is the policy."""
    pod, paused = world.pod, world.conversation.spec.mode == "Paused"
    if paused and pod is None:
        return Finding(Reason.PAUSED, "The conversation is paused; its key and workspace are kept.")
    if paused and not pause_refused(world):
        saving = drain_seconds(world) > 0
        return Finding(Reason.PAUSING, _SAVING if saving else "The runtime pod is being stopped.")
    if world.secret is None and world.conversation.status.session_key_hash is not None:
        return Finding(
            Reason.SESSION_KEY_LOST,
            "The Secret with the session key was deleted; a new key is made when the old pod is gone.",
        )
    if world.is_drained:
        return Finding(Reason.WAITING_FOR_OLD_POD, _USED_UP)
    if pod is not None:
        finding = explain_pod(pod, was_ready=_was_ready(world, pod))
        is_up = finding.reason == Reason.RUNTIME_READY
        return (why_not_configured(world) if is_up else None) or finding
    return why_not_start(world) or _why_no_pod(world)


def progress_delay(world: World, new: Status) -> float:
    """
    For how many seconds to hold back a status that speaks of something on its way.

    0 where it must be written now: Ready, paused, or a state that has lasted long enough.
    """
    ready = new.condition(ConditionType.READY)
    settled = ready is None or ready.status == "True" or ready.reason == Reason.PAUSED
    if settled or world.memory.unsettled_since is None:
        return 0.0
    return max(0.0, world.memory.unsettled_since + PROGRESS_SECONDS - world.clock)


def is_settled(world: World) -> bool:
    """Whether the conversation is where its spec wants it: Ready, or paused."""
    return explain_readiness(world).reason in (Reason.RUNTIME_READY, Reason.PAUSED)


def status_patch(old: Status, new: Status) -> dict[str, Any]:
    """The merge patch from one status to the other: only what differs, nulls for what is removed."""
    before, after = msgspec.to_builtins(old), msgspec.to_builtins(new)
    changed = {key: value for key, value in after.items() if before.get(key) != value}
    return changed | dict.fromkeys(before.keys() - after.keys())


def _why_no_pod(world: World) -> Finding:
    status = world.conversation.status
    if world.missing_input is not None:
        return world.missing_input
    if world.refusal is not None:
        return Finding(world.refusal.reason, world.refusal.message)
    restarts = restarts_in_force(world.conversation)
    if restarts > RESTART_LIMIT:
        return Finding(
            Reason.RESTART_LIMIT_REACHED,
            f"The runtime pod was lost {restarts} times in a row, last: {status.last_restart_reason}. "
            "Find out why; then pause and resume, or change the spec.",
        )
    ready = status.condition(ConditionType.READY)
    if restarts and ready is not None and ready.reason == status.last_restart_reason:
        return Finding(ready.reason, ready.message)  # Backing off; the reason is still the news.
    return BOOTING


def _was_ready(world: World, pod: Pod) -> bool:
    ready = world.conversation.status.condition(ConditionType.READY)
    if ready is None or world.conversation.status.pod_uid != pod.metadata.uid:
        return False
    return ready.status == "True" or ready.reason == Reason.NOT_RESPONDING


def _ready(finding: Finding, world: World) -> Condition:
    old = world.conversation.status.condition(ConditionType.READY)
    message = finding.message
    if finding.reason in _STEADY and old is not None and old.reason == finding.reason:
        message = old.message
    status: Literal["True", "False"] = "True" if finding.reason == Reason.RUNTIME_READY else "False"
    return build_condition(world, ConditionType.READY, status, Finding(finding.reason, message))


def _paused(finding: Finding, world: World) -> list[Condition]:
    if world.conversation.spec.mode != "Paused":
        return []
    if pause_refused(world):
        refused = Finding(
            Reason.PAUSE_REFUSED,
            "A pause would destroy the files in the emptyDir workspace. Set lossOnPause: Accept in the "
            "RuntimeTemplate, or delete the Conversation.",
        )
        return [build_condition(world, ConditionType.PAUSED, "False", refused)]
    if finding.reason == Reason.PAUSED:
        return [build_condition(world, ConditionType.PAUSED, "True", finding)]
    return [build_condition(world, ConditionType.PAUSED, "False", finding)]


def _up_to_date(world: World) -> list[Condition]:
    pod, template = world.pod, world.template
    if pod is None or pod.is_terminal or pod.is_terminating:
        return []
    if template is None:
        gone = "The RuntimeTemplate is gone; the running pod stays, the next start will fail."
        finding = Finding(Reason.TEMPLATE_NOT_FOUND, gone)
    elif pod.metadata.annotations.get(DESIRED_HASH) != desired_hash(world.conversation, template):
        changed = "image, env or the RuntimeTemplate changed; that acts at the next start."
        finding = Finding(Reason.SPEC_CHANGED, changed)
    else:
        current = Finding(Reason.AS_DESIRED, "The pod is what spec and template ask for.")
        return [build_condition(world, ConditionType.UP_TO_DATE, "True", current)]
    return [build_condition(world, ConditionType.UP_TO_DATE, "False", finding)]


def _configured(world: World) -> list[Condition]:
    pod = world.pod
    if pod is None or pod.is_terminal or pod.is_terminating or not wants_configuration(world):
        return []
    missing = why_not_configured(world)
    if missing is None:
        return [build_condition(world, ConditionType.CONFIGURED, "True", explain_configured(world))]
    return [build_condition(world, ConditionType.CONFIGURED, "False", missing)]


def _initialized(world: World) -> str | None:
    if world.pod is not None and wants_configuration(world) and is_configured(world):
        return world.pod.run
    return world.conversation.status.initialized_container_id


def _still_lost(old: Status) -> list[Condition]:
    lost = old.condition(ConditionType.WORKSPACE_LOST)
    return [lost] if lost is not None else []


def _workspace_lost(world: World, reason: Reason, message: str) -> Condition:
    return build_condition(world, ConditionType.WORKSPACE_LOST, "True", Finding(reason, message))


def _phase(finding: Finding) -> str:
    if finding.reason == Reason.RUNTIME_READY:
        return "Running"
    if finding.reason == Reason.PAUSED:
        return "Paused"
    return "Failed" if finding.reason in TERMINAL_REASONS else "Pending"


def _url(world: World, finding: Finding) -> str | None:
    pod = world.pod
    return pod.url if pod is not None and finding.reason == Reason.RUNTIME_READY else None


def _key_hash(world: World) -> str | None:
    if world.secret is None:
        # Kept: that there once was a key is how a deleted Secret is told from a fresh start.
        return world.conversation.status.session_key_hash
    return world.secret.metadata.annotations.get(SESSION_KEY_HASH)


def _workspace(world: World, finding: Finding) -> str | None:
    pod, old = world.pod, world.conversation.status.workspace
    if pod is not None and finding.reason == Reason.RUNTIME_READY:
        return pod.claim_name or EMPTY_DIR
    if finding.reason == Reason.PAUSED and old == EMPTY_DIR:
        return None
    return old


def _startup(world: World, finding: Finding) -> int | None:
    pod, old = world.pod, world.conversation.status
    if pod is None or finding.reason != Reason.RUNTIME_READY:
        return (
            old.startup_milliseconds
            if pod is not None and old.pod_uid == pod.metadata.uid
            else None
        )
    measured = old.startup_milliseconds is not None or old.is_true(ConditionType.READY)
    if old.pod_uid == pod.metadata.uid and measured:
        return old.startup_milliseconds  # Whoever wrote Ready has measured, or could not.
    started = world.memory.started_at
    return None if started is None else round((world.clock - started) * 1000)
