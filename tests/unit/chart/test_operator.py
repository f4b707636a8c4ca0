"""The operator's own pod and what surrounds it."""

from typing import Any

import pytest

from tests.rig.helm import ChartRefused, Helm, Rendering
from tests.unit.chart.pod_security import find_violations

Manifest = dict[str, Any]

NAME = "conversation-operator"


def pod_of(rendering: Rendering) -> Manifest:
    template: Manifest = rendering.find("Deployment", NAME)["spec"]["template"]
    return template


def environment(rendering: Rendering) -> dict[str, str]:
    env = pod_of(rendering)["spec"]["containers"][0]["env"]
    return {
        entry["name"].removeprefix("CONVERSATION_OPERATOR_"): entry.get("value", "")
        for entry in env
    }


def test_pod_passes_restricted(rendering: Rendering) -> None:
    assert find_violations(pod_of(rendering)["spec"]) == []


def test_root_file_system_is_read_only(rendering: Rendering) -> None:
    [container] = pod_of(rendering)["spec"]["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert pod_of(rendering)["spec"]["securityContext"]["runAsUser"] == 65532


def test_two_replicas_of_which_one_may_be_missing(rendering: Rendering) -> None:
    deployment = rendering.find("Deployment", NAME)["spec"]
    budget = rendering.find("PodDisruptionBudget", NAME)["spec"]
    assert deployment["replicas"] == 2
    assert budget["maxUnavailable"] == 1
    assert budget["selector"] == deployment["selector"]


def test_the_drain_fits_the_grace_period(rendering: Rendering) -> None:
    assert pod_of(rendering)["spec"]["terminationGracePeriodSeconds"] > 10


def test_probes(rendering: Rendering) -> None:
    [container] = pod_of(rendering)["spec"]["containers"]
    paths = {
        kind: container[kind]["httpGet"]["path"]
        for kind in ("startupProbe", "livenessProbe", "readinessProbe")
    }
    assert paths == {
        "startupProbe": "/livez",
        "livenessProbe": "/livez",
        "readinessProbe": "/readyz",
    }
    assert container["ports"] == [{"name": "http", "containerPort": 8080, "protocol": "TCP"}]


def test_settings_reach_the_process(helm: Helm) -> None:
    values = {
        "runtimes": {"namespace": "runtimes"},
        "operator": {"workers": 8, "log": {"level": "DEBUG", "format": "plain"}},
    }
    env = environment(helm.render(values))
    assert env.pop("IDENTITY") == ""
    mount = pod_of(helm.render())["spec"]["containers"][0]["volumeMounts"][0]["mountPath"]
    assert env == {
        "NAMESPACE": "runtimes",
        "LEASE": NAME,
        "PORT": "8080",
        "TEMPLATES_DIR": mount,
        "WORKERS": "8",
        "LOG_LEVEL": "DEBUG",
        "LOG_FORMAT": "plain",
    }


def test_changed_templates_restart_the_operator_and_nothing_else_does(helm: Helm) -> None:
    before = pod_of(helm.render())
    same = pod_of(helm.render({"client": {"portForward": True}}))
    changed = pod_of(helm.render({"defaultTemplate": {"image": "registry.example/runtime:2"}}))
    assert before == same
    assert before["metadata"]["annotations"] != changed["metadata"]["annotations"]


def test_scheduling_values_reach_the_pod(helm: Helm) -> None:
    values = {
        "nodeSelector": {"pool": "system"},
        "tolerations": [{"key": "system", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "priorityClassName": "important",
        "imagePullSecrets": [{"name": "registry"}],
    }
    pod = pod_of(
        helm.render({"operator": {**values, "podLabels": {"a": "b"}, "podAnnotations": {"c": "d"}}})
    )
    assert {key: pod["spec"][key] for key in values} == values
    assert pod["metadata"]["labels"]["a"] == "b"
    assert pod["metadata"]["annotations"]["c"] == "d"


def test_replicas_prefer_different_nodes_and_zones(rendering: Rendering) -> None:
    spread = pod_of(rendering)["spec"]["topologySpreadConstraints"]
    assert [(c["topologyKey"], c["whenUnsatisfiable"]) for c in spread] == [
        ("kubernetes.io/hostname", "ScheduleAnyway"),
        ("topology.kubernetes.io/zone", "ScheduleAnyway"),
    ]


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ({}, "conversation-operator/operator:0.1.0"),
        ({"repository": "r.example/op", "tag": "dev"}, "r.example/op:dev"),
        (
            {"tag": "dev", "digest": f"sha256:{'0' * 64}"},
            f"conversation-operator/operator@sha256:{'0' * 64}",
        ),
    ],
)
def test_image(helm: Helm, image: dict[str, str], expected: str) -> None:
    pod = pod_of(helm.render({"operator": {"image": image}}))
    assert pod["spec"]["containers"][0]["image"] == expected


@pytest.mark.parametrize(
    ("kind", "endpoints"),
    [("ServiceMonitor", "endpoints"), ("PodMonitor", "podMetricsEndpoints")],
)
def test_monitor_finds_the_metrics(helm: Helm, kind: str, endpoints: str) -> None:
    rendering = helm.render({"metrics": {"monitor": {"kind": kind, "labels": {"release": "prom"}}}})
    monitor = rendering.find(kind, NAME)
    target = (
        rendering.find("Service", f"{NAME}-metrics")
        if kind == "ServiceMonitor"
        else pod_of(rendering)
    )
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    assert wanted <= target["metadata"]["labels"].items()
    assert monitor["metadata"]["labels"]["release"] == "prom"
    assert monitor["spec"][endpoints][0]["port"] == "http"


def test_no_monitor_unless_asked_for(rendering: Rendering) -> None:
    assert not rendering.of_kind("ServiceMonitor") + rendering.of_kind("PodMonitor")


def test_service_monitor_needs_the_service(helm: Helm) -> None:
    values = {"service": {"enabled": False}, "monitor": {"kind": "ServiceMonitor"}}
    with pytest.raises(ChartRefused, match="needs metrics.service.enabled"):
        helm.render({"metrics": values})


def test_metrics_service_selects_every_replica(rendering: Rendering) -> None:
    service = rendering.find("Service", f"{NAME}-metrics")["spec"]
    assert service["selector"].items() <= pod_of(rendering)["metadata"]["labels"].items()
    assert service["clusterIP"] == "None"
