"""
Whether the runtime that runs was told its inputs, and what is to be done about it.

The telling itself is a protocol's affair (bootstrap.py) and takes a while; here is what status and
plan make of it.
"""

from conversations.api.labels import INPUT_HASH
from conversations.api.reasons import ConditionType, Reason
from conversations.core.inputs import InputKind, input_name, input_type
from conversations.core.readiness import Finding
from conversations.core.world import Progress, World

CONFIGURED_PROTOCOLS = frozenset({"OpenHandsV0"})
CONFIGURING = Finding(
    Reason.CONFIGURING, "The runtime is up and is being told its settings and what to start with."
)
_APPLIED = Finding(Reason.INPUTS_APPLIED, "The runtime was told its inputs.")
_CHANGED = Finding(
    Reason.SETTINGS_CHANGED,
    "The settings were changed since; the new ones act when the runtime's container next starts.",
)


def wants_configuration(world: World) -> bool:
    """Whether this pod speaks a protocol with inputs, and inputs were declared."""
    pod, inputs = world.pod, world.conversation.spec.inputs
    return (
        pod is not None
        and pod.protocol in CONFIGURED_PROTOCOLS
        and (inputs.first is not None or inputs.settings is not None)
    )


def progress_of_run(world: World) -> Progress | None:
    """What this process knows of telling the run of the container that is there now."""
    progress, pod = world.memory.progress, world.pod
    return progress if progress and pod and progress.run == pod.run else None


def is_configured(world: World) -> bool:
    """Whether the running container was told everything; by us now, or by whoever wrote the status."""
    progress, pod = progress_of_run(world), world.pod
    if pod is not None and world.conversation.status.initialized_container_id == pod.run:
        return True
    return progress is not None and progress.applied


def why_not_configured(world: World) -> Finding | None:
    """What keeps a Ready pod from serving its conversation; None where nothing does."""
    if not wants_configuration(world) or is_configured(world):
        return None
    progress = progress_of_run(world)
    return progress.finding if progress is not None and progress.finding else CONFIGURING


def explain_configured(world: World) -> Finding:
    """For the condition Configured=True: as declared, or with what there is to know."""
    applied = applied_settings(world)
    if applied is not None and applied != settings_hash(world):
        return _CHANGED
    progress = progress_of_run(world)
    if progress is not None:
        return progress.finding or _APPLIED
    old = world.conversation.status.condition(ConditionType.CONFIGURED)
    warned = old is not None and old.reason == Reason.PROVIDERS_REJECTED and old.status == "True"
    return Finding(old.reason, old.message) if old is not None and warned else _APPLIED


def applied_settings(world: World) -> str | None:
    """Hash of the settings that the running container was told."""
    progress = progress_of_run(world)
    if progress is not None and progress.applied:
        return progress.settings
    return world.conversation.status.applied_settings


def settings_hash(world: World) -> str | None:
    """Hash of the settings as they are declared now: those in a Secret of ours, or those named."""
    secret = world.inputs.get(InputKind.SETTINGS)
    if secret is not None and secret.metadata.is_owned_by(world.uid):
        return secret.metadata.annotations.get(INPUT_HASH)
    return world.conversation.spec.inputs.settings


def input_to_adopt(world: World) -> InputKind | None:
    """A named input whose Secret has no owner yet, and was not found wanting in this pass."""
    for kind in InputKind:
        secret, named = world.inputs.get(kind), getattr(world.conversation.spec.inputs, kind)
        if secret is None or named is None or kind in world.unfit_inputs:
            continue
        meta = secret.metadata
        if not meta.owner_references and meta.annotations.get(INPUT_HASH) == named:
            return kind
    return None


def explain_input(conversation: str, kind: InputKind, *, exists: bool) -> Finding:
    """Why the start waits for a Secret."""
    name = input_name(conversation, kind)
    if not exists:
        return Finding(
            Reason.WAITING_FOR_SECRET, f"spec.inputs names Secret {name}, which is not there yet."
        )
    return Finding(
        Reason.WAITING_FOR_SECRET,
        f"Secret {name} is not of type {input_type(kind)}, does not hold what spec.inputs.{kind} "
        "names, or belongs to something else.",
    )
