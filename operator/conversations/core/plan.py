"""
The next thing to do for one conversation: observed in, one action out.

The rules are those of design §3.  A pass performs the action, adds the answer to the World and
asks again, until there is nothing left to do now.
"""

from datetime import timedelta

from conversations.api.labels import SESSION_KEY_HASH
from conversations.api.reasons import ConditionType, Reason
from conversations.core.actions import (
    Action,
    AdoptInput,
    Configure,
    CreateClaim,
    CreatePod,
    CreateSecret,
    DeletePod,
    ListPods,
    ReadClaim,
    ReadConversation,
    ReadInputs,
    ReadSecret,
    RecordLoss,
    RecordVolumeGone,
    Wait,
)
from conversations.core.configuration import (
    input_to_adopt,
    is_configured,
    progress_of_run,
    settings_hash,
    wants_configuration,
)
from conversations.core.observed import NO_INPUTS, Pod, Status
from conversations.core.readiness import explain_pod
from conversations.core.restarts import (
    RESTART_LIMIT,
    backoff_seconds,
    restarts_in_force,
)
from conversations.core.start import why_not_start
from conversations.core.world import World

DRAIN_SECONDS = 30.0
"""For how long a paused pod stays for its manager to save the history."""
INPUT_SECONDS = 60.0
"""How often to look for an input that is not there, should the watch not tell."""
LEAVING_SECONDS = 30.0
"""How often to look whether pods that are on their way out are gone."""

_DISRUPTIONS = {
    Reason.EVICTED,
    Reason.PREEMPTED,
    Reason.NODE_LOST,
    Reason.DISK_FULL,
    Reason.OUT_OF_MEMORY,
}


def plan(world: World) -> Action | None:
    """The next action, or None when only an event can make a difference."""
    if world.conversation.metadata.deletion_timestamp is not None:
        return None  # The owner references take the children down.
    action = _plan_mode(world)
    if action is None or isinstance(action, Wait):
        kind = input_to_adopt(world)  # Off the path to Ready, but before anybody rests.
        return AdoptInput(kind) if kind is not None else action
    return action


def _plan_mode(world: World) -> Action | None:
    if world.conversation.spec.mode == "Paused":
        return _plan_pause(world)
    return _plan_secret(world) or _plan_stray_pod(world) or _plan_pod(world)


def pause_refused(world: World) -> bool:
    """Whether a pause would destroy files that nobody agreed to lose."""
    pod = world.pod
    if pod is None or pod.is_terminal or pod.is_terminating or pod.claim_name is not None:
        return False
    template = world.template
    return template is None or template.spec.workspace.loss_on_pause == "Refuse"


def drain_seconds(world: World) -> float:
    """For how long the pod of a paused conversation may yet be wanted by who keeps its history."""
    meta, pod, since = world.conversation.metadata, world.pod, world.memory.pausing_since
    if meta.labels.installation is None or pod is None or not pod.is_ready or since is None:
        return 0.0
    if world.is_drained:
        return 0.0
    return max(0.0, since + DRAIN_SECONDS - world.clock)


def _plan_pause(world: World) -> Action | None:
    if pause_refused(world):
        return None
    left = drain_seconds(world)
    return Wait(left) if left > 0 else _delete_one(world, world.owned_pods)


def _plan_secret(world: World) -> Action | None:
    if world.secret is not None:
        return None
    if not _key_was_given_out(world):
        # A second time: then the first Secret went with a Conversation that our cache still shows.
        again = world.memory.has_decided
        return _unless_refused(
            world, _confirmed(world, CreateSecret()) if again else CreateSecret()
        )
    # Gone, or our cache is behind.  Pods that hold the old key go first: nobody could use them.
    if not world.secret_read:
        return ReadSecret()
    if not world.pods_listed:
        return ListPods()
    if _loss_is_unrecorded(world):
        return _key_loss(world)
    if world.owned_pods:
        # Their end is an event; this is for the one that got lost.
        return _delete_one(world, world.owned_pods) or Wait(LEAVING_SECONDS)
    return _unless_refused(world, _confirmed(world, CreateSecret()))


def _key_was_given_out(world: World) -> bool:
    return world.conversation.status.session_key_hash is not None or bool(world.owned_pods)


def _plan_stray_pod(world: World) -> Action | None:
    return _delete_one(world, [pod for pod in world.owned_pods if pod is not world.pod])


def _plan_pod(world: World) -> Action | None:
    pod, status = world.pod, world.conversation.status
    if pod is None:
        if status.pod_uid is not None and _loss_is_unrecorded(world):
            if not world.pods_listed:
                return ListPods()  # Our cache may be behind: a loss is counted, and final.
            return RecordLoss(status.pod_uid, *_why_it_vanished(status))
        return _plan_start(world)
    if pod.is_terminating:
        return None
    if world.is_drained:
        return _delete_one(world, [pod])
    if pod.is_terminal:
        if status.last_restart_pod_uid != pod.metadata.uid:
            return RecordLoss(pod.metadata.uid, *explain_pod(pod, was_ready=False))
        return _delete_one(world, [pod])
    if _has_another_key(world, pod):
        if not world.secret_read:
            return ReadSecret()  # As above: our cache of the Secret may be the one that is behind.
        ours = status.pod_uid == pod.metadata.uid and _loss_is_unrecorded(world)
        return _key_loss(world) if ours else _delete_one(world, [pod])
    return _plan_configuration(world, pod)


def _plan_configuration(world: World, pod: Pod) -> Action | None:
    if not pod.is_ready or not wants_configuration(world) or is_configured(world):
        return None
    progress = progress_of_run(world)
    if progress is None or progress.settings != settings_hash(world):
        return Configure()
    if progress.retry_at is None:
        return None  # Under way; its end is an event.
    left = progress.retry_at - world.clock
    return Wait(left) if left > 0 else Configure()


def _loss_is_unrecorded(world: World) -> bool:
    status, marks = world.conversation.status, world.conversation.metadata.annotations
    # One that was drained was meant to go, even if the pause was taken back before it went.
    return status.pod_uid not in (None, status.last_restart_pod_uid, marks.drained_pod)


def _key_loss(world: World) -> RecordLoss:
    return RecordLoss(
        world.conversation.status.pod_uid or "",
        Reason.SESSION_KEY_LOST,
        "The Secret with the session key was deleted; a new pod gets a new key.",
    )


def _delete_one(world: World, pods: list[Pod]) -> Action | None:
    for pod in pods:
        if not pod.is_terminating and pod.metadata.uid not in world.deleted:
            return _confirmed(world, DeletePod(pod.metadata.name, pod.metadata.uid))
    return None


def _has_another_key(world: World, pod: Pod) -> bool:
    assert world.secret is not None, "the Secret is planned before the pod"
    ours = world.secret.metadata.annotations.get(SESSION_KEY_HASH)
    return pod.metadata.annotations.get(SESSION_KEY_HASH) != ours


def _why_it_vanished(status: Status) -> tuple[str, str]:
    ready = status.condition(ConditionType.READY)
    if ready is not None and ready.reason in _DISRUPTIONS:
        return ready.reason, ready.message
    return Reason.POD_LOST, "The runtime pod was deleted."


def _plan_start(world: World) -> Action | None:
    if why_not_start(world) is not None:
        return None
    restarts = restarts_in_force(world.conversation)
    if restarts > RESTART_LIMIT:
        return None
    last = world.conversation.status.last_restart_time
    if restarts and last is not None:
        pause = backoff_seconds(restarts)
        left = (last + timedelta(seconds=pause) - world.now).total_seconds()
        if left > 0:
            return Wait(min(left, pause))  # More than all of it: the clocks of two nodes differ.
    return _unless_refused(world, _next_of_start(world))


def _next_of_start(world: World) -> Action:
    assert world.template is not None, "checked by why_not_start"
    if not world.secret_created and not world.confirmed:
        return ReadConversation()
    if world.conversation.spec.inputs != NO_INPUTS:
        if not world.inputs_read:
            return ReadInputs()
        if world.missing_input is not None:
            return Wait(INPUT_SECONDS)
    if not world.template.is_ephemeral:
        if not world.claim_read:
            return ReadClaim()
        if world.claim is None:
            gone = world.conversation.status.workspace is not None
            return RecordVolumeGone() if gone else CreateClaim()
    return CreatePod()


def _confirmed(world: World, action: Action) -> Action:
    return action if world.confirmed else ReadConversation()


def _unless_refused(world: World, action: Action) -> Action:
    refusal = world.refusal
    if refusal is not None and refusal.retry_at > world.clock:
        return Wait(refusal.retry_at - world.clock)
    return action
