"""What the manifests hold: golden facts, each of which somebody relies on."""

import copy
from base64 import b64decode
from hashlib import sha256
from typing import Any

import pytest

from conversations.api import labels
from conversations.core.build import build_claim, build_pod, build_secret, desired_hash
from conversations.core.names import children_name
from conversations.core.observed import Template
from conversations.core.start import why_not_start
from tests.unit.core.samples import (
    BLUEPRINT,
    EPHEMERAL,
    KEY_HASH,
    UID,
    a_conversation,
    a_template,
    a_world,
)

NAME = children_name(UID)
OWNER = {
    "apiVersion": "conversation-operator.io/v1alpha1",
    "kind": "Conversation",
    "name": "chat",
    "uid": UID,
    "controller": True,
}


def blueprint(container: dict[str, Any] | None = None, **pod: Any) -> dict[str, Any]:
    first = {"name": "runtime", "image": "agent:1"} | (container or {})
    metadata = pod.pop("metadata", {})
    return {"metadata": metadata, "spec": {"containers": [first]} | pod}


def built(template: Template | None = None, **spec: Any) -> dict[str, Any]:
    return build_pod(a_conversation(**spec), template or a_template(), KEY_HASH)


def runtime_of(pod: dict[str, Any]) -> dict[str, Any]:
    return next(c for c in pod["spec"]["containers"] if c["name"] == "runtime")


def env_of(pod: dict[str, Any]) -> dict[str, Any]:
    entries = runtime_of(pod)["env"]
    names = [entry["name"] for entry in entries]
    assert len(names) == len(set(names)), "a name twice: the last one would win, silently"
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in entries}


# --- Secret


def test_the_secret_is_immutable_owned_and_holds_both_keys() -> None:
    secret = build_secret(a_conversation(), "session key", "runtime key")
    assert secret["immutable"] is True
    assert secret["metadata"]["name"] == NAME
    assert secret["metadata"]["ownerReferences"] == [OWNER]
    data = {key: b64decode(value).decode() for key, value in secret["data"].items()}
    assert data == {labels.SESSION_KEY: "session key", labels.RUNTIME_SECRET_KEY: "runtime key"}


def test_i4_the_secret_shows_the_hash_of_the_key_and_never_the_key() -> None:
    metadata = build_secret(a_conversation(), "session key", "runtime key")["metadata"]
    digest = sha256(b"session key").hexdigest()
    assert metadata["annotations"] == {labels.SESSION_KEY_HASH: digest}
    assert "session key" not in str(metadata)


# --- claim


def test_a_claim_that_goes_with_its_conversation() -> None:
    workspace = {"persistentVolumeClaim": {"size": "3Gi", "storageClassName": "fast"}}
    claim = build_claim(a_conversation(), a_template(workspace=workspace))
    assert claim["metadata"]["ownerReferences"] == [OWNER]
    assert claim["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "3Gi"}},
        "storageClassName": "fast",
    }


def test_i5_a_retained_claim_has_no_owner_and_says_whose_it_was() -> None:
    workspace = {"persistentVolumeClaim": {"retention": "Retain"}}
    claim = build_claim(a_conversation(), a_template(workspace=workspace))
    assert "ownerReferences" not in claim["metadata"]
    assert claim["metadata"]["labels"][labels.CONVERSATION_UID] == UID
    assert "storageClassName" not in claim["spec"]


# --- the pod: identity


def test_the_pod_is_named_after_the_uid_and_owned_by_it() -> None:
    metadata = built()["metadata"]
    assert (metadata["name"], metadata["ownerReferences"]) == (NAME, [OWNER])


def test_the_pod_carries_what_watches_policies_and_people_select_by() -> None:
    metadata = built(user="Ada Lovelace <ada@example.org>")["metadata"]
    assert metadata["labels"] == {
        labels.CONVERSATION_UID: UID,
        labels.MANAGED_BY: labels.MANAGER,
        labels.COMPONENT: labels.RUNTIME_COMPONENT,
        labels.TEMPLATE: "default",
        labels.USER_HASH: labels.label_hash("Ada Lovelace <ada@example.org>"),
    }
    assert metadata["annotations"][labels.SESSION_KEY_HASH] == KEY_HASH
    assert metadata["annotations"][labels.RUNTIME_PORT] == "8000"


def test_the_blueprint_adds_labels_and_cannot_take_ours() -> None:
    given = {
        "labels": {"team": "a", labels.CONVERSATION_UID: "forged"},
        "annotations": {"note": "b", labels.SESSION_KEY_HASH: "forged"},
        "name": "forged",
        "namespace": "forged",
    }
    metadata = built(a_template(pod=blueprint(metadata=given)))["metadata"]
    assert metadata["labels"]["team"] == "a"
    assert metadata["labels"][labels.CONVERSATION_UID] == UID
    assert metadata["annotations"]["note"] == "b"
    assert metadata["annotations"][labels.SESSION_KEY_HASH] == KEY_HASH
    assert (metadata["name"], "namespace" in metadata) == (NAME, False)


def test_building_leaves_the_template_as_it_was() -> None:
    template = a_template(pod=blueprint({"env": [{"name": "A", "value": "1"}]}))
    before = copy.deepcopy(template.spec.pod)
    assert built(template) == built(template)
    assert template.spec.pod == before


# --- the pod: environment


def test_a_user_s_dollar_is_a_dollar() -> None:
    env = env_of(built(env=[{"name": "PRICE", "value": "$(HOME) costs $5"}]))
    assert env["PRICE"] == "$$(HOME) costs $$5"


def test_an_admin_s_dollar_still_expands() -> None:
    template = a_template(pod=blueprint({"env": [{"name": "A", "value": "$(HOME)/a"}]}))
    assert env_of(built(template))["A"] == "$(HOME)/a"


def test_defaults_come_first_so_that_the_blueprint_can_refer_to_them() -> None:
    template = a_template(pod=blueprint({"env": [{"name": "A", "value": "$(HOME)/a"}]}))
    pod = built(template, env=[{"name": "B", "value": "b"}])
    names = [entry["name"] for entry in runtime_of(pod)["env"]]
    assert names.index("HOME") < names.index("A") < names.index("B")
    assert names[-2:] == ["OH_SESSION_API_KEYS_0", "OH_SECRET_KEY"]


def test_defaults_give_way_and_keys_do_not() -> None:
    given = [
        {"name": "HOME", "value": "/elsewhere"},
        {"name": "OH_SESSION_API_KEYS_0", "value": "weak"},
        {"name": "OH_SECRET_KEY", "value": "weak"},
    ]
    env = env_of(built(a_template(pod=blueprint({"env": given}))))
    assert env["HOME"] == "/elsewhere"
    for variable, key in (
        ("OH_SESSION_API_KEYS_0", labels.SESSION_KEY),
        ("OH_SECRET_KEY", labels.RUNTIME_SECRET_KEY),
    ):
        assert env[variable] == {"secretKeyRef": {"name": NAME, "key": key}}


def test_all_that_the_server_writes_lies_in_the_workspace() -> None:
    workspace = EPHEMERAL | {"mountPath": "/data"}
    env = env_of(built(a_template(workspace=workspace)))
    places = [name for name, value in env.items() if str(value).startswith("/data")]
    assert {"HOME", "OH_WORKSPACE_PATH", "OH_CONVERSATIONS_PATH", "OH_PERSISTENCE_DIR"} <= set(
        places
    )
    assert env["OH_LEASE_TTL_SECONDS"] == "0"


# --- the pod: volumes


def test_claim_and_empty_dir() -> None:
    claim = {"name": "workspace", "persistentVolumeClaim": {"claimName": NAME}}
    assert claim in built()["spec"]["volumes"]
    limited = a_template(workspace={"emptyDir": {"sizeLimit": "1Gi"}})
    assert {"name": "workspace", "emptyDir": {"sizeLimit": "1Gi"}} in built(limited)["spec"][
        "volumes"
    ]
    assert {"name": "workspace", "emptyDir": {}} in built(a_template(workspace=EPHEMERAL))["spec"][
        "volumes"
    ]


def test_workspace_and_tmp_are_mounted() -> None:
    mounts = {m["mountPath"]: m["name"] for m in runtime_of(built())["volumeMounts"]}
    assert mounts == {"/workspace": "workspace", "/tmp": "tmp"}


@pytest.mark.parametrize("path", ["/tmp", "/tmp/"])
def test_an_admin_s_own_tmp_stays(path: str) -> None:
    container = {"volumeMounts": [{"name": "big", "mountPath": path}]}
    template = a_template(pod=blueprint(container, volumes=[{"name": "big", "emptyDir": {}}]))
    mounts = runtime_of(built(template))["volumeMounts"]
    assert [m["name"] for m in mounts if m["mountPath"].rstrip("/") == "/tmp"] == ["big"]


def test_a_part_of_the_workspace_may_be_mounted_elsewhere_too() -> None:
    container = {"volumeMounts": [{"name": "workspace", "mountPath": "/data", "subPath": "data"}]}
    mounts = runtime_of(built(a_template(pod=blueprint(container))))["volumeMounts"]
    assert {m["mountPath"] for m in mounts} == {"/workspace", "/data", "/tmp"}


def test_the_blueprint_cannot_put_another_volume_in_the_workspace_s_place() -> None:
    forged = {"name": "workspace", "hostPath": {"path": "/"}}
    volumes = built(a_template(pod=blueprint(volumes=[forged])))["spec"]["volumes"]
    assert [v for v in volumes if v["name"] == "workspace"] == [
        {"name": "workspace", "persistentVolumeClaim": {"claimName": NAME}}
    ]


# --- the pod: hardening


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


# --- drift


def test_the_hash_changes_exactly_when_the_pod_would() -> None:
    base = desired_hash(a_conversation(), a_template())
    assert desired_hash(a_conversation(user="u", mode="Paused"), a_template()) == base
    assert desired_hash(a_conversation(), a_template(allowedImages=["x"])) == base
    others = [
        desired_hash(a_conversation(image="agent:2"), a_template()),
        desired_hash(a_conversation(env=[{"name": "A"}]), a_template()),
        desired_hash(a_conversation(), a_template(port=9000)),
        desired_hash(a_conversation(), a_template(pod=blueprint())),
        desired_hash(a_conversation(), a_template(workspace=EPHEMERAL)),
    ]
    assert len({base, *others}) == 6
    assert built()["metadata"]["annotations"][labels.DESIRED_HASH] == base


# --- blueprints that are none


NULLS: dict[str, Any] = {
    "metadata": None,
    "spec": {
        "containers": [
            {
                "name": "runtime",
                "image": "agent:1",
                "env": None,
                "ports": None,
                "volumeMounts": None,
                "securityContext": None,
                "resources": {"requests": None, "limits": None},
                "readinessProbe": None,
            }
        ],
        "initContainers": None,
        "volumes": None,
        "securityContext": None,
    },
}


def test_a_field_with_nothing_after_it_is_as_good_as_not_written() -> None:
    bare = blueprint()
    nulls, plain = a_template(pod=NULLS), a_template(pod=bare)
    assert nulls.problem is None
    ours, theirs = built(nulls), built(plain)
    for pod in (ours, theirs):
        del pod["metadata"]["annotations"][labels.DESIRED_HASH]
    assert ours == theirs


@pytest.mark.parametrize(
    ("pod", "words"),
    [
        ({}, "spec"),
        ({"spec": None}, "spec"),
        ({"spec": "text"}, "$.spec"),
        ({"spec": {}}, "containers"),
        ({"spec": {"containers": "text"}}, "$.spec.containers"),
        ({"spec": {"containers": []}}, "runtime"),
        ({"spec": {"containers": [{"name": "agent"}]}}, "runtime"),
        ({"spec": {"containers": [{"image": "x"}]}}, "name"),
        ({"spec": {"containers": [None]}}, "$.spec.containers[0]"),
        (blueprint({"env": {"A": "1"}}), "env"),
        (blueprint({"env": [{"value": "1"}]}), "name"),
        (blueprint({"env": ["A=1"]}), "env"),
        (blueprint({"ports": [8000]}), "ports"),
        (blueprint({"volumeMounts": "x"}), "volumeMounts"),
        (blueprint({"securityContext": "none"}), "securityContext"),
        (blueprint({"resources": {"limits": "2Gi"}}), "limits"),
        (blueprint(volumes=["x"]), "volumes"),
        (blueprint(initContainers="x"), "initContainers"),
        (blueprint(securityContext=[]), "securityContext"),
        (blueprint(metadata={"labels": ["a"]}), "labels"),
        (blueprint(metadata="x"), "metadata"),
    ],
)
def test_a_blueprint_that_makes_no_pod_is_refused_with_the_place(
    pod: dict[str, Any], words: str
) -> None:
    template = a_template(pod=pod)
    assert template.problem is not None and words in template.problem
    finding = why_not_start(a_world(template=template))
    assert finding is not None and words in finding.message


def test_the_sample_blueprint_has_no_problem() -> None:
    assert a_template(pod=BLUEPRINT).problem is None
