"""What a pod of protocol OpenHandsV0 tells its runtime."""

from typing import Any

import pytest

from conversations.api import labels
from conversations.core.build import build_pod, desired_hash
from conversations.core.names import children_name
from conversations.core.template import Template
from tests.unit.core.samples import (
    KEY_HASH,
    UID,
    a_conversation,
    a_template,
    blueprint,
    built,
    runtime_of,
)

NAME = children_name(UID)
INPUTS = {"env": "e" * 64}


def v0(container: dict[str, Any] | None = None, **spec: Any) -> Template:
    given = {"protocol": "OpenHandsV0", "port": 3000, "pod": blueprint(container)} | spec
    return a_template(**given)


def env_of(pod: dict[str, Any]) -> dict[str, Any]:
    env = runtime_of(pod)["env"]
    assert len({entry["name"] for entry in env}) == len(env)
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in env}


def test_what_the_nested_server_needs() -> None:
    env = env_of(built(v0()))
    assert env["SESSION_API_KEY"] == {"secretKeyRef": {"name": NAME, "key": labels.SESSION_KEY}}
    assert (env["port"], env["ALLOW_SET_CONVERSATION_ID"]) == ("3000", "1")
    assert env["CONVERSATION_MANAGER_CLASS"].endswith(".StandaloneConversationManager")
    assert (env["SERVE_FRONTEND"], env["ENABLE_V1"], env["SANDBOX_CLOSE_DELAY"]) == ("0", "0", "0")
    assert (env["RUNTIME"], env["USER"], env["SU_TO_USER"]) == ("local", "agent", "false")


def test_agent_and_files_share_a_directory_and_history_lies_on_the_volume() -> None:
    env = env_of(built(v0(workspace={"persistentVolumeClaim": {}, "mountPath": "/data/"})))
    assert env["WORKSPACE_BASE"] == env["WORKSPACE_MOUNT_PATH_IN_SANDBOX"] == "/data/project"
    assert env["FILE_STORE_PATH"] == "/data/.openhands/file_store"
    assert not env["HOME"].startswith("/data"), "the server writes secrets to ~/.bashrc"


@pytest.mark.parametrize(
    "name",
    [
        "port",
        "SESSION_API_KEY",
        "JWT_SECRET",
        "ALLOW_SET_CONVERSATION_ID",
        "CONVERSATION_MANAGER_CLASS",
        "WORKSPACE_BASE",
        "WORKSPACE_MOUNT_PATH_IN_SANDBOX",
        "FILE_STORE",
        "FILE_STORE_PATH",
    ],
)
def test_what_bootstrap_and_history_rely_on_cannot_be_overridden(name: str) -> None:
    given = {"name": name, "value": "forged"}
    template = v0({"env": [given]})
    assert env_of(built(template)) == env_of(built(v0()))
    assert env_of(built(template, env=[given])) == env_of(built(v0()))


def test_the_rest_can() -> None:
    given = [{"name": "RUNTIME", "value": "cli"}, {"name": "PERMITTED_CORS_ORIGINS", "value": "*"}]
    env = env_of(built(v0({"env": given})))
    assert (env["RUNTIME"], env["PERMITTED_CORS_ORIGINS"]) == ("cli", "*")


@pytest.mark.parametrize(
    ("kind", "path", "works"),
    [
        ("cli", "/workspace", False),
        ("cli", "/workspace/", False),
        ("cli", "/workspace/deep", False),
        ("cli", "/workspaces", True),
        ("cli", "/data", True),
        ("local", "/workspace", True),
    ],
)
def test_the_cli_runtime_mistakes_paths_below_workspace(kind: str, path: str, works: bool) -> None:
    container = {"env": [{"name": "RUNTIME", "value": kind}]}
    template = v0(container, workspace={"emptyDir": {}, "mountPath": path})
    assert (template.problem is None) == works


def test_probes_need_no_key_and_no_route_that_1_4_lacks() -> None:
    runtime = runtime_of(built(v0(port=3111)))
    probes = {name: probe for name, probe in runtime.items() if name.endswith("Probe")}
    assert set(probes) == {"startupProbe", "readinessProbe", "livenessProbe"}
    assert {p["httpGet"]["path"] for p in probes.values()} == {"/alive"}
    assert {p["httpGet"]["port"] for p in probes.values()} == {3111}


def test_probes_leave_the_rate_limiter_alone_and_a_slow_boot_alive() -> None:
    runtime = runtime_of(built(v0()))
    startup = runtime["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 300
    # The others begin when the startup probe has ended.
    assert 1 / startup["periodSeconds"] <= 1
    others = (runtime["readinessProbe"], runtime["livenessProbe"])
    assert sum(1 / probe["periodSeconds"] for probe in others) <= 1


@pytest.mark.parametrize(
    ("container", "memory"),
    [
        ({}, "1536Mi"),
        ({"env": [{"name": "RUNTIME", "value": "cli"}]}, "640Mi"),
        ({"resources": {"requests": {"memory": "3Gi"}}}, "3Gi"),
    ],
)
def test_memory_to_fit(container: dict[str, Any], memory: str) -> None:
    assert runtime_of(built(v0(container)))["resources"]["requests"]["memory"] == memory


def test_a_sidecar_is_no_openhands() -> None:
    pod = blueprint()
    pod["spec"]["containers"].append({"name": "sidecar", "image": "side:1"})
    sidecar = built(v0(pod=pod))["spec"]["containers"][1]
    assert sidecar["resources"]["requests"]["memory"] == "512Mi"
    assert "env" not in sidecar


def test_the_pod_says_what_it_speaks_whatever_becomes_of_the_template() -> None:
    assert built(v0())["metadata"]["annotations"][labels.PROTOCOL] == "OpenHandsV0"
    assert labels.PROTOCOL not in built()["metadata"]["annotations"]


def test_secret_variables_reach_the_runtime_alone() -> None:
    pod = blueprint({"envFrom": [{"configMapRef": {"name": "mine"}}]})
    pod["spec"]["containers"].append({"name": "sidecar", "image": "side:1"})
    made = build_pod(a_conversation(inputs=INPUTS), v0(pod=pod), KEY_HASH)
    assert runtime_of(made)["envFrom"] == [
        {"configMapRef": {"name": "mine"}},
        {"secretRef": {"name": "chat.env"}},
    ]
    assert "envFrom" not in made["spec"]["containers"][1]
    assert "envFrom" not in runtime_of(built(v0()))


def test_drift_is_seen_when_secret_variables_change_and_not_when_settings_do() -> None:
    plain = desired_hash(a_conversation(), v0())
    assert desired_hash(a_conversation(inputs=INPUTS), v0()) != plain
    assert desired_hash(a_conversation(inputs={"settings": "e" * 64}), v0()) == plain
