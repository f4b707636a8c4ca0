"""What the manifests hold: golden facts, each of which somebody relies on."""

import copy
from base64 import b64decode
from hashlib import sha256
from typing import Any

import pytest

from conversations.api import labels
from conversations.core.build import build_claim, build_secret, desired_hash
from conversations.core.names import children_name
from tests.unit.core.samples import (
    EPHEMERAL,
    KEY_HASH,
    UID,
    a_conversation,
    a_template,
    blueprint,
    built,
    runtime_of,
)

NAME = children_name(UID)
OWNER = {
    "apiVersion": "conversation-operator.io/v1alpha1",
    "kind": "Conversation",
    "name": "chat",
    "uid": UID,
    "controller": True,
}


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
