"""What `kubectl get` and `kubectl explain` show of our two resources, and what can be selected."""

import json
from typing import Any

import pytest

from conversations.api.crd import RESOURCES, Resource
from conversations.api.group import API_VERSION, GROUP, VERSION
from tests.rig.kubectl import Kubectl

Manifest = dict[str, Any]


def a_condition(kind: str, reason: str, generation: int = 1) -> Manifest:
    return {
        "type": kind,
        "status": "True",
        "reason": reason,
        "message": "As the operator would say.",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
        "observedGeneration": generation,
    }


def a_resource(kind: str, name: str, **spec: Any) -> Manifest:
    metadata = {"name": name}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}


BLUEPRINT = {"spec": {"containers": [{"name": "sidecar"}, {"name": "runtime", "image": "agent"}]}}
RESOURCES_SHOWN = [
    a_resource("Conversation", "one", user="alice, of x=y"),
    a_resource("Conversation", "two", user="bob", template="small"),
    a_resource("RuntimeTemplate", "one", pod=BLUEPRINT),
]
STATUSES = {
    "conversation": {
        "phase": "Running",
        "conditions": [a_condition("Ready", "RuntimeReady")],
        "restarts": 2,
        "startupMilliseconds": 4711,
        "url": "http://10.0.0.1:8000",
    },
    "runtimetemplate": {"conditions": [a_condition("Accepted", "BlueprintAccepted")]},
}


@pytest.fixture
def shown(kubectl: Kubectl, namespace: str) -> str:
    """A namespace with two conversations and a template, `one` of each with a status."""
    everything = {"apiVersion": "v1", "kind": "List", "items": RESOURCES_SHOWN}
    kubectl("create", "-n", namespace, "-f", "-", input=json.dumps(everything))
    for kind, status in STATUSES.items():
        target = ("patch", kind, "one", "-n", namespace, "--subresource=status", "--type=merge")
        kubectl(*target, "-p", json.dumps({"status": status}))
    return namespace


def test_field_selectors(kubectl: Kubectl, shown: str) -> None:
    def select(selector: str) -> list[str]:
        options = ("-n", shown, "--field-selector", selector, "-o", "name")
        return kubectl("get", "conversations", *options).stdout.split()

    one, two = f"conversation.{GROUP}/one", f"conversation.{GROUP}/two"
    assert select(r"spec.user=alice\, of x\=y") == [one]
    assert select("spec.template=small") == [two]
    assert select("status.phase=Running") == [one]
    assert select("spec.user!=bob,spec.template=default") == [one]


def test_columns(kubectl: Kubectl, shown: str) -> None:
    narrow = row(kubectl("get", "conv", "one", "-n", shown).stdout)
    wide = row(kubectl("get", "conv", "one", "-n", shown, "-o", "wide").stdout)
    template = row(kubectl("get", "rtt", "one", "-n", shown).stdout)
    del narrow["AGE"], template["AGE"], wide["AGE"]
    assert narrow == {
        "NAME": "one",
        "PHASE": "Running",
        "REASON": "RuntimeReady",
        "USER": "alice, of x=y",
        "TEMPLATE": "default",
        "STARTUP MS": "4711",
    }
    more = {"RESTARTS": "2", "MODE": "Running", "URL": "http://10.0.0.1:8000"}
    assert wide == narrow | more
    assert template == {
        "NAME": "one",
        "ACCEPTED": "True",
        "PROTOCOL": "AgentServer",
        "IMAGE": "agent",
    }


def row(printed: str) -> dict[str, str]:
    """The one row beneath the head, by column; three spaces part the cells."""
    head, cells = (
        [cell.strip() for cell in line.split("   ") if cell.strip()]
        for line in printed.splitlines()
    )
    return dict(zip(head, cells, strict=True))


def test_both_kinds_by_their_category(kubectl: Kubectl, shown: str) -> None:
    listed = kubectl("get", "conversation-operator", "-n", shown, "-o", "name").stdout.split()
    conversations = [f"conversation.{GROUP}/{name}" for name in ("one", "two")]
    assert listed == [*conversations, f"runtimetemplate.{GROUP}/one"]


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.kind)
def test_explain_describes_every_field(kubectl: Kubectl, crds: None, resource: Resource) -> None:
    document = json.loads(kubectl("get", "--raw", f"/openapi/v3/apis/{GROUP}/{VERSION}").stdout)
    group = ".".join(reversed(GROUP.split(".")))
    schema = document["components"]["schemas"][f"{group}.{VERSION}.{resource.kind}"]
    del schema["properties"]["metadata"]
    assert undescribed(schema) == []


def undescribed(schema: Manifest, path: str = "") -> list[str]:
    missing = [] if schema.get("description") else [path]
    if schema.get("items", {}).get("type") == "object":
        missing += undescribed(schema["items"], f"{path}[]")
    for name, field in schema.get("properties", {}).items():
        missing += undescribed(field, f"{path}.{name}")
    return missing


def test_explain_reads_well(kubectl: Kubectl, crds: None) -> None:
    text = kubectl("explain", "conversation.spec.sessionID").stdout
    assert "1 to 100 characters of any kind" in " ".join(text.split())
