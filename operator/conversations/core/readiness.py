"""Why a pod is not ready.  The first rule that matches wins, so the order of the rules is the policy."""

from collections.abc import Callable
from typing import NamedTuple

from conversations.api.reasons import Reason
from conversations.core.observed import ContainerStatus, Pod


class Finding(NamedTuple):
    """A reason and a sentence for people."""

    reason: str
    message: str


BOOTING = Finding(
    Reason.BOOTING, "The runtime pod is scheduled, pulled or booting; nothing is wrong so far."
)

_IMAGE_REASONS = {
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "ImageInspectError",
    "RegistryUnavailable",
    "SignatureValidationFailed",
}
_CONFIG_REASONS = {
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "PreCreateHookError",
    "PreStartHookError",
    "PostStartHookError",
}
_DISRUPTIONS = {
    "PreemptionByScheduler": Reason.PREEMPTED,
    "DeletionByTaintManager": Reason.NODE_LOST,
    "DeletionByPodGC": Reason.NODE_LOST,
    "EvictionByEvictionAPI": Reason.EVICTED,
    "TerminationByKubelet": Reason.EVICTED,
}
_DISK_WORDS = ("ephemeral", "emptydir", "disk", "inodes")


def explain_pod(pod: Pod, *, was_ready: bool) -> Finding:
    """What a person should know about this pod; RuntimeReady where all is well."""
    for rule in _RULES:
        finding = rule(pod)
        if finding is not None:
            return finding
    runtime = pod.runtime
    if was_ready and runtime is not None and runtime.state.running is not None:
        return Finding(
            Reason.NOT_RESPONDING,
            "The runtime ran but no longer answers its readiness probe; see the pod's logs.",
        )
    return BOOTING


def _ended(pod: Pod) -> Finding | None:
    if not pod.is_terminal:
        return None
    words = pod.status.message or f"The runtime pod ended: {pod.status.reason or pod.status.phase}."
    if pod.status.reason == "Evicted":
        full = any(word in words.lower() for word in _DISK_WORDS)
        return Finding(Reason.DISK_FULL if full else Reason.EVICTED, words)
    disruption = _disruption(pod)
    if disruption is not None:
        return Finding(disruption, words)
    if pod.status.reason in ("NodeShutdown", "Terminated"):
        return Finding(Reason.EVICTED, words)
    if pod.status.reason == "NodeLost":
        return Finding(Reason.NODE_LOST, words)
    return _killed_by_memory(pod) or Finding(Reason.POD_FAILED, words)


def _leaving(pod: Pod) -> Finding | None:
    if not pod.is_terminating:
        return None
    where = f" on node {pod.spec.node_name}" if pod.spec.node_name else ""
    sentence = f"Pod {pod.metadata.name}{where} is terminating; a new one starts when it is gone."
    return Finding(_disruption(pod) or Reason.WAITING_FOR_OLD_POD, sentence)


def _ready(pod: Pod) -> Finding | None:
    return Finding(Reason.RUNTIME_READY, "The runtime is ready.") if pod.is_ready else None


def _unschedulable(pod: Pod) -> Finding | None:
    scheduled = pod.condition("PodScheduled")
    if scheduled is None or scheduled.status != "False" or scheduled.reason != "Unschedulable":
        return None
    return Finding(Reason.UNSCHEDULABLE, scheduled.message or "No node fits the runtime pod.")


def _unpullable(pod: Pod) -> Finding | None:
    return _waiting_for(pod, _IMAGE_REASONS, Reason.IMAGE_UNAVAILABLE)


def _misconfigured(pod: Pod) -> Finding | None:
    return _waiting_for(pod, _CONFIG_REASONS, Reason.CONFIG_ERROR)


def _waiting_for(pod: Pod, words: set[str], reason: Reason) -> Finding | None:
    for container in _containers(pod):
        waiting = container.state.waiting
        if waiting is not None and waiting.reason in words:
            return Finding(
                reason, f"Container {container.name}: {waiting.message or waiting.reason}"
            )
    return None


def _killed_by_memory(pod: Pod) -> Finding | None:
    for container in _containers(pod):
        for state in (container.state, container.last_state):
            if state.terminated is not None and state.terminated.reason == "OOMKilled":
                return Finding(
                    Reason.OUT_OF_MEMORY,
                    f"Container {container.name} was killed for using more memory than its limit; "
                    "raise the limit in the RuntimeTemplate.",
                )
    return None


def _crashing(pod: Pod) -> Finding | None:
    for container in _containers(pod):
        if container.restart_count == 0 or container.ready:
            continue
        ended = container.state.terminated or container.last_state.terminated
        if ended is not None:
            return Finding(
                Reason.CRASH_LOOP,
                f"Container {container.name} exited with code {ended.exit_code} and is started "
                "again with back-off; see the pod's logs.",
            )
    return None


def _cut_off(pod: Pod) -> Finding | None:
    # The node lifecycle controller turns the pod's condition, and leaves what kubelet last said
    # of the containers.  kubelet itself, for a readiness gate, gives a reason.
    ready, statuses = pod.condition("Ready"), pod.status.container_statuses
    if ready is None or ready.status != "False" or ready.reason or not statuses:
        return None
    if pod.status.phase != "Running" or not all(container.ready for container in statuses):
        return None
    return Finding(Reason.NODE_LOST, f"Node {pod.spec.node_name} has stopped reporting.")


def _disruption(pod: Pod) -> Reason | None:
    target = pod.condition("DisruptionTarget")
    if target is None or target.status != "True":
        return None
    return _DISRUPTIONS.get(target.reason)


def _containers(pod: Pod) -> list[ContainerStatus]:
    return [*pod.status.init_container_statuses, *pod.status.container_statuses]


_RULES: tuple[Callable[[Pod], Finding | None], ...] = (
    _ended,
    _leaving,
    _ready,
    _unschedulable,
    _unpullable,
    _misconfigured,
    _killed_by_memory,
    _crashing,
    _cut_off,
)
