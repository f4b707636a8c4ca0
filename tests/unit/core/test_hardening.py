"""A pod passes Pod Security `restricted` unless the admin says otherwise."""

from typing import Any

import pytest

from tests.unit.core.samples import (
    a_template,
    blueprint,
    built,
    runtime_of,
)


def test_a_silent_blueprint_becomes_a_hardened_pod() -> None:
    spec = built()["spec"]
    assert spec["restartPolicy"] == "Always"
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert spec["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "runAsGroup": 10001,
        "fsGroup": 10001,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert runtime_of(built())["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_sidecars_and_init_containers_are_hardened_too() -> None:
    more = {"name": "more", "image": "more:1"}
    pod = blueprint(initContainers=[more])
    pod["spec"]["containers"].append(more)
    spec = built(a_template(pod=pod))["spec"]
    for container in [*spec["containers"], *spec["initContainers"]]:
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert "ephemeral-storage" in container["resources"]["limits"]
    assert "env" not in spec["initContainers"][0], "keys go to the runtime alone"


def test_what_the_admin_says_wins() -> None:
    container = {"securityContext": {"readOnlyRootFilesystem": False}}
    given = blueprint(
        container,
        automountServiceAccountToken=True,
        securityContext={"runAsUser": 7},
        terminationGracePeriodSeconds=5,
        restartPolicy="Never",
    )
    pod = built(a_template(pod=given))
    assert runtime_of(pod)["securityContext"]["readOnlyRootFilesystem"] is False
    assert pod["spec"]["automountServiceAccountToken"] is True
    assert pod["spec"]["securityContext"]["runAsUser"] == 7
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
    assert pod["spec"]["terminationGracePeriodSeconds"] == 5
    assert pod["spec"]["restartPolicy"] == "Always"


@pytest.mark.parametrize(
    ("given", "requests", "limits"),
    [
        (
            {},
            {"cpu": "100m", "memory": "512Mi", "ephemeral-storage": "256Mi"},
            {"memory": "4Gi", "ephemeral-storage": "8Gi"},
        ),
        (
            {"limits": {"memory": "128Mi"}},
            {"cpu": "100m", "ephemeral-storage": "256Mi"},
            {"memory": "128Mi", "ephemeral-storage": "8Gi"},
        ),
        (
            {"requests": {"memory": "64Gi", "cpu": "8"}},
            {"memory": "64Gi", "cpu": "8", "ephemeral-storage": "256Mi"},
            {"ephemeral-storage": "8Gi"},
        ),
    ],
)
def test_resources_never_contradict_the_admin_s(
    given: dict[str, Any], requests: dict[str, str], limits: dict[str, str]
) -> None:
    resources = runtime_of(built(a_template(pod=blueprint({"resources": given}))))["resources"]
    assert resources == {"requests": requests, "limits": limits}


def test_probes_need_no_key_and_the_admin_s_stay() -> None:
    container = {"livenessProbe": {"exec": {"command": ["true"]}}}
    runtime = runtime_of(built(a_template(pod=blueprint(container), port=9000)))
    assert runtime["livenessProbe"] == {"exec": {"command": ["true"]}}
    assert runtime["readinessProbe"]["httpGet"] == {"path": "/ready", "port": 9000}
    assert runtime["ports"] == [{"name": "http", "containerPort": 9000}]


def test_the_conversation_s_image_is_the_runtime_s_only() -> None:
    pod = blueprint()
    pod["spec"]["containers"].append({"name": "sidecar", "image": "side:1"})
    containers = built(a_template(pod=pod), image="agent:2")["spec"]["containers"]
    assert [c["image"] for c in containers] == ["agent:2", "side:1"]
