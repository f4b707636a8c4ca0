"""Every way of not being ready has its own word."""

from typing import Any

import pytest

from conversations.api.reasons import Reason
from conversations.core.readiness import explain_pod
from tests.unit.core.samples import LEAVING, READY_POD, a_pod, runtime


def disrupted(reason: str, status: str = "True") -> dict[str, str]:
    return {"type": "DisruptionTarget", "status": status, "reason": reason}


def failed(reason: str = "", message: str = "", *conditions: dict[str, str]) -> dict[str, Any]:
    return {
        "phase": "Failed",
        "reason": reason,
        "message": message,
        "conditions": list(conditions),
    }


def waiting(reason: str, **more: Any) -> dict[str, Any]:
    return {"containerStatuses": [runtime("waiting", reason=reason, **more)]}


def not_ready(reason: str = "") -> dict[str, str]:
    return {"type": "Ready", "status": "False", "reason": reason}


OOM = {"terminated": {"reason": "OOMKilled", "exitCode": 137}}
EXITED = {"terminated": {"reason": "Error", "exitCode": 3}}
UNSCHEDULABLE = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "0/3 nodes are available",
}

CASES: list[tuple[str, dict[str, Any], Reason]] = [
    ("ready", READY_POD, Reason.RUNTIME_READY),
    ("just made", {}, Reason.BOOTING),
    ("scheduled", {"conditions": [{"type": "PodScheduled", "status": "True"}]}, Reason.BOOTING),
    ("pulling", waiting("ContainerCreating"), Reason.BOOTING),
    ("booting", {"phase": "Running", "containerStatuses": [runtime()]}, Reason.BOOTING),
    ("ready but not running", READY_POD | {"phase": "Pending"}, Reason.BOOTING),
    ("no node fits", {"conditions": [UNSCHEDULABLE]}, Reason.UNSCHEDULABLE),
    ("gated", {"conditions": [UNSCHEDULABLE | {"reason": "SchedulingGated"}]}, Reason.BOOTING),
    *(
        (word, waiting(word), Reason.IMAGE_UNAVAILABLE)
        for word in (
            "ErrImagePull",
            "ImagePullBackOff",
            "InvalidImageName",
            "ErrImageNeverPull",
            "ImageInspectError",
            "RegistryUnavailable",
            "SignatureValidationFailed",
        )
    ),
    *(
        (word, waiting(word), Reason.CONFIG_ERROR)
        for word in (
            "CreateContainerConfigError",
            "CreateContainerError",
            "RunContainerError",
            "PreCreateHookError",
            "PreStartHookError",
            "PostStartHookError",
        )
    ),
    (
        "image of an init container",
        {"initContainerStatuses": [runtime("waiting", reason="ErrImagePull")]},
        Reason.IMAGE_UNAVAILABLE,
    ),
    (
        "killed by memory, now",
        {"containerStatuses": [runtime("terminated", reason="OOMKilled", exitCode=137)]},
        Reason.OUT_OF_MEMORY,
    ),
    (
        "killed by memory, waits for its restart",
        waiting("CrashLoopBackOff", restartCount=2, lastState=OOM),
        Reason.OUT_OF_MEMORY,
    ),
    (
        "killed by memory, ready again",
        READY_POD | {"containerStatuses": [runtime(ready=True, restartCount=1, lastState=OOM)]},
        Reason.RUNTIME_READY,
    ),
    (
        "crashed, waits for its restart",
        waiting("CrashLoopBackOff", restartCount=2, lastState=EXITED),
        Reason.CRASH_LOOP,
    ),
    (
        "crashed, boots again",
        {"phase": "Running", "containerStatuses": [runtime(restartCount=1, lastState=EXITED)]},
        Reason.CRASH_LOOP,
    ),
    (
        "unpullable goes before crashed",
        waiting("ImagePullBackOff", restartCount=2, lastState=EXITED),
        Reason.IMAGE_UNAVAILABLE,
    ),
    (
        "the node stopped reporting",
        READY_POD | {"conditions": [not_ready()]},
        Reason.NODE_LOST,
    ),
    (
        "a readiness gate is closed",
        READY_POD | {"conditions": [not_ready("ReadinessGatesNotReady")]},
        Reason.BOOTING,
    ),
    ("ended by itself", {"phase": "Succeeded"}, Reason.POD_FAILED),
    ("failed", failed(), Reason.POD_FAILED),
    ("out of disk", failed("Evicted", "Usage of EmptyDir volume exceeds"), Reason.DISK_FULL),
    ("disk", failed("Evicted", "low on resource: ephemeral-storage"), Reason.DISK_FULL),
    ("inodes", failed("Evicted", "low on resource: inodes"), Reason.DISK_FULL),
    ("evicted for memory", failed("Evicted", "low on resource: memory"), Reason.EVICTED),
    ("shut down", failed("NodeShutdown"), Reason.EVICTED),
    ("shut down, older words", failed("Terminated"), Reason.EVICTED),
    ("lost", failed("NodeLost"), Reason.NODE_LOST),
    ("preempted", failed("", "", disrupted("PreemptionByScheduler")), Reason.PREEMPTED),
    ("tainted", failed("", "", disrupted("DeletionByTaintManager")), Reason.NODE_LOST),
    ("orphaned", failed("", "", disrupted("DeletionByPodGC")), Reason.NODE_LOST),
    ("drained", failed("", "", disrupted("EvictionByEvictionAPI")), Reason.EVICTED),
    ("by kubelet", failed("", "", disrupted("TerminationByKubelet")), Reason.EVICTED),
    ("called off", failed("", "", disrupted("PreemptionByScheduler", "False")), Reason.POD_FAILED),
    (
        "failed for memory",
        failed() | {"containerStatuses": [runtime("terminated", reason="OOMKilled")]},
        Reason.OUT_OF_MEMORY,
    ),
]


@pytest.mark.parametrize(("status", "reason"), [pytest.param(s, r, id=i) for i, s, r in CASES])
def test_why(status: dict[str, Any], reason: Reason) -> None:
    assert explain_pod(a_pod(**status), was_ready=False).reason == reason


@pytest.mark.parametrize(
    ("conditions", "reason"),
    [
        ([], Reason.WAITING_FOR_OLD_POD),
        ([disrupted("PreemptionByScheduler")], Reason.PREEMPTED),
        ([disrupted("DeletionByTaintManager")], Reason.NODE_LOST),
        ([{"type": "Ready", "status": "True"}], Reason.WAITING_FOR_OLD_POD),
    ],
)
def test_a_pod_on_its_way_out_is_never_ready(
    conditions: list[dict[str, str]], reason: Reason
) -> None:
    pod = a_pod(**(READY_POD | {"conditions": conditions}), meta=LEAVING)
    finding = explain_pod(pod, was_ready=True)
    assert finding.reason == reason
    assert "node-1" in finding.message


def test_a_runtime_that_answered_once_is_not_booting() -> None:
    running = {"phase": "Running", "containerStatuses": [runtime()]}
    assert explain_pod(a_pod(**running), was_ready=True).reason == Reason.NOT_RESPONDING
    assert explain_pod(a_pod(), was_ready=True).reason == Reason.BOOTING


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ({"conditions": [UNSCHEDULABLE]}, "0/3 nodes are available"),
        (waiting("ErrImagePull", message="no such host"), "no such host"),
        (waiting("CreateContainerConfigError", message='secret "x" not found'), "not found"),
        (failed("Evicted", "The node was low on resource: memory"), "low on resource"),
        (waiting("CrashLoopBackOff", restartCount=1, lastState=EXITED), "code 3"),
    ],
)
def test_the_cluster_is_quoted(status: dict[str, Any], words: str) -> None:
    assert words in explain_pod(a_pod(**status), was_ready=False).message
