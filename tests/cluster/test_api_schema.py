"""What the API server itself refuses and keeps of our two resources."""

import json
from collections.abc import Callable, Iterator
from subprocess import CompletedProcess
from typing import Any

import pytest

from conversations.api.conversation import Conversation
from conversations.api.group import API_VERSION
from tests.rig.kubectl import Kubectl
from tests.rig.namespaces import fresh_namespace

Manifest = dict[str, Any]
Apply = Callable[..., CompletedProcess[str]]


def a_conversation(**spec: Any) -> Manifest:
    return named("one", **spec)


def named(name: str, **spec: Any) -> Manifest:
    return {
        "apiVersion": API_VERSION,
        "kind": "Conversation",
        "metadata": {"name": name},
        "spec": spec,
    }


def a_template(**spec: Any) -> Manifest:
    pod = {"spec": {"containers": [{"name": "runtime", "image": "agent"}]}}
    return {
        "apiVersion": API_VERSION,
        "kind": "RuntimeTemplate",
        "metadata": {"name": "one"},
        "spec": {"pod": pod} | spec,
    }


@pytest.fixture(scope="module")
def shared(kubectl: Kubectl, crds: None) -> Iterator[str]:
    """One namespace for all: nothing here starts a pod, and a namespace takes a second."""
    yield from fresh_namespace(kubectl)


@pytest.fixture
def create(kubectl: Kubectl, shared: str) -> Apply:
    def create(manifest: Manifest, *options: str, check: bool = True) -> CompletedProcess[str]:
        arguments = ("create", "-n", shared, "-f", "-", "-o", "json", *options)
        return kubectl(*arguments, input=json.dumps(manifest), check=check)

    return create


@pytest.fixture
def patch(kubectl: Kubectl, shared: str) -> Apply:
    def patch(name: str, body: Manifest, *, check: bool = True) -> CompletedProcess[str]:
        target = ("patch", "conversation", name, "-n", shared, "-o", "json", "--type=merge")
        return kubectl(*target, "-p", json.dumps(body), check=check)

    return patch


LABEL = "metadata.name must be a DNS label"
RESERVED = "spec.env name is reserved"


@pytest.mark.parametrize(
    ("manifest", "sentence"),
    [
        (named("a.b"), LABEL),
        (named("a" * 64), LABEL),
        (named("Upper"), 'metadata.name: Invalid value: "Upper"'),
        (named("-a"), 'metadata.name: Invalid value: "-a"'),
        (a_conversation(sessionID=""), "spec.sessionID in body should be at least 1 chars long"),
        (a_conversation(sessionID="ä" * 101), "spec.sessionID: Too long: may not be more than 100"),
        (a_conversation(sessionID=1), 'spec.sessionID in body must be of type string: "integer"'),
        (a_conversation(resourceFactor=3), "spec.resourceFactor is 1, 2, 4 or 8"),
        (a_conversation(resourceFactor=16), "spec.resourceFactor in body should be less than or"),
        (a_conversation(inputs={"first": "x"}), "spec.inputs.first in body should be at least 64"),
        (a_conversation(inputs={"env": "X" * 64}), "spec.inputs.env in body should match"),
        (a_conversation(user=""), "spec.user in body should be at least 1 chars long"),
        (a_conversation(user="ä" * 257), "spec.user: Too long: may not be more than 256"),
        (a_conversation(template=""), "spec.template in body should be at least 1 chars long"),
        (a_conversation(template="A_b"), "spec.template in body should match"),
        (a_conversation(template="a" * 64), "spec.template: Too long: may not be more than 63"),
        (a_conversation(mode="paused"), 'spec.mode: Unsupported value: "paused"'),
        (a_conversation(image=""), "spec.image in body should be at least 1 chars long"),
        (a_conversation(image="a" * 513), "spec.image: Too long: may not be more than 512"),
        (
            a_conversation(env=[{"name": "OH_X"}]),
            f'spec.env[0].name: Invalid value: "OH_X": {RESERVED}',
        ),
        (a_conversation(env=[{"name": "SESSION_API_KEY"}]), RESERVED),
        (a_conversation(env=[{"name": "SESSION_API_KEYS_0"}]), RESERVED),
        (a_conversation(env=[{"name": "LD_PRELOAD"}]), RESERVED),
        (a_conversation(env=[{"name": "A B"}]), "spec.env[0].name in body should match"),
        (a_conversation(env=[{"name": ""}]), "spec.env[0].name in body should be at least 1"),
        (a_conversation(env=[{"value": "x"}]), "spec.env[0].name: Required value"),
        (a_conversation(env=[{"name": "A", "value": "x" * 4097}]), "spec.env[0].value: Too long"),
        (a_conversation(env=[{"name": "A"}, {"name": "A"}]), "spec.env[1]: Duplicate value"),
        (
            a_conversation(env=[{"name": f"A{i}"} for i in range(65)]),
            "spec.env: Too many: 65: must have at most 64 items",
        ),
        (a_conversation(modus="Paused"), 'unknown field "spec.modus"'),
        (a_template() | {"metadata": {"name": "a.b"}}, LABEL),
        (a_template(pod=None), "spec.pod: Required value"),
        ({**a_template(), "spec": None}, "spec: Required value"),
        (a_template(protocol="HTTP"), 'spec.protocol: Unsupported value: "HTTP"'),
        (a_template(port=0), "spec.port in body should be greater than or equal to 1"),
        (a_template(port=65536), "spec.port in body should be less than or equal to 65535"),
        (a_template(workspace={}), "spec.workspace needs exactly one of"),
        (
            a_template(workspace={"emptyDir": {}, "persistentVolumeClaim": {}}),
            "spec.workspace needs exactly one of",
        ),
        (
            a_template(workspace={"persistentVolumeClaim": {"size": "big"}}),
            "spec.workspace.persistentVolumeClaim.size in body should match",
        ),
        (
            a_template(workspace={"emptyDir": {}, "mountPath": "workspace"}),
            "spec.workspace.mountPath in body should match",
        ),
        (
            a_template(workspace={"emptyDir": {}, "lossOnPause": "Yes"}),
            'spec.workspace.lossOnPause: Unsupported value: "Yes"',
        ),
        (a_template(allowedImages=["a", "a"]), 'spec.allowedImages[1]: Duplicate value: "a"'),
        (a_template(allowedImages=[""]), "spec.allowedImages[0] in body should be at least 1"),
    ],
)
def test_refused_with_a_sentence_that_names_the_field(
    create: Apply, manifest: Manifest, sentence: str
) -> None:
    refusal = create(manifest, "--dry-run=server", check=False)
    assert refusal.returncode, refusal.stdout
    assert sentence in refusal.stderr


DEFAULTS = {"template": "default", "mode": "Running", "resourceFactor": 1}


@pytest.mark.parametrize(
    "spec",
    [
        {"resourceFactor": 8, "inputs": {"first": "0" * 64, "settings": "a" * 64}},
        {"sessionID": "ä" * 100, "user": "💬" * 256},
        {"sessionID": "with\nnewline, 'quotes' and \\", "user": " "},
        {"env": [{"name": f"A{i}", "value": "x"} for i in range(64)]},
        {"env": [{"name": "A", "value": "ä" * 4096}]},
        {"env": [{"name": "OHIO"}, {"name": "LDAP"}, {"name": "MY_OH_X"}, {"name": "oh_x"}]},
    ],
)
def test_what_is_within_the_bounds_is_kept_as_it_is(create: Apply, spec: Manifest) -> None:
    made = json.loads(create(a_conversation(**spec), "--dry-run=server").stdout)
    for variable in spec.get("env", ()):
        variable.setdefault("value", "")
    assert made["spec"] == DEFAULTS | spec
    read = Conversation.model_validate(made).spec
    kept = {"env": [], "inputs": {}} | made["spec"]
    assert read.model_dump(by_alias=True, exclude_none=True) == kept


@pytest.mark.parametrize("spec", [{}, {"spec": {}}, {"spec": None}], ids=str)
def test_no_spec_means_all_defaults(create: Apply, spec: Manifest) -> None:
    manifest = {key: value for key, value in a_conversation().items() if key != "spec"} | spec
    made = json.loads(create(manifest, "--dry-run=server").stdout)
    assert made["spec"] == DEFAULTS


SET = {"template": "small", "sessionID": "s-1", "user": "alice"}
CHANGED = {"template": "big", "sessionID": "s-2", "user": "bob"}
REMOVED = dict.fromkeys(SET)


@pytest.mark.parametrize(
    ("name", "before", "changes"),
    [
        ("full", {"spec": SET}, [CHANGED, REMOVED]),
        ("empty", {"spec": {}}, [CHANGED]),
        ("without-spec", {}, [CHANGED]),
    ],
)
def test_immutable(
    create: Apply, patch: Apply, name: str, before: Manifest, changes: list[Manifest]
) -> None:
    """Neither changed, nor removed, nor set where it was absent."""
    create({key: value for key, value in named(name).items() if key != "spec"} | before)
    for field, value in ((field, change[field]) for change in changes for field in SET):
        refusal = patch(name, {"spec": {field: value}}, check=False)
        assert refusal.returncode, refusal.stdout
        assert f"spec.{field} is immutable: delete the Conversation" in refusal.stderr


def test_the_whole_spec_cannot_be_removed_either(create: Apply, patch: Apply) -> None:
    create(named("kept", **SET))
    refusal = patch("kept", {"spec": None}, check=False)
    assert "spec.user is immutable" in refusal.stderr


def test_what_may_change_does(create: Apply, patch: Apply) -> None:
    create(named("changing", **SET))
    change = {
        "mode": "Paused",
        "image": "agent:2",
        "env": [{"name": "A", "value": "1"}],
        "resourceFactor": 4,
        "inputs": {"settings": "b" * 64, "env": "c" * 64},
    }
    assert json.loads(patch("changing", {"spec": change}).stdout)["spec"] == SET | change


def test_a_user_cannot_write_status_with_the_object(create: Apply) -> None:
    made = json.loads(create(named("new") | {"status": {"phase": "Running"}}).stdout)
    assert "status" not in made
