"""Small objects for the tables: what a case does not say is as on the normal path."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from conversations.api import labels
from conversations.api.reasons import Reason
from conversations.api.template import RuntimeTemplateSpec
from conversations.core.build import build_pod
from conversations.core.names import children_name
from conversations.core.observed import Child, Conversation, Pod
from conversations.core.template import Template
from conversations.core.world import Memory, World

UID = "0b5c1f7e-0001"
POD_UID = "pod-1"
KEY_HASH = "ab" * 32
NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
CLOCK = 5000.0
BLUEPRINT = {"spec": {"containers": [{"name": "runtime", "image": "registry.example/agent:1"}]}}
EPHEMERAL = {"emptyDir": {}}
LOSSY = {"emptyDir": {}, "lossOnPause": "Accept"}

Manifest = dict[str, Any]


def ago(seconds: float) -> str:
    """That many seconds before NOW, as the API writes it."""
    return (NOW - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def a_condition(kind: str, status: str, reason: str, **more: Any) -> Manifest:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": "",
        "lastTransitionTime": ago(60),
        "observedGeneration": 1,
    } | more


def ready_condition(
    status: str = "True", reason: str = Reason.RUNTIME_READY, **more: Any
) -> Manifest:
    return a_condition("Ready", status, reason, **more)


READY_STATUS: Manifest = {
    "phase": "Running",
    "conditions": [ready_condition()],
    "podName": children_name(UID),
    "podUID": POD_UID,
    "sessionKeySecret": children_name(UID),
    "sessionKeyHash": KEY_HASH,
    "workspace": children_name(UID),
}


def a_conversation(
    status: Manifest | None = None, *, generation: int = 1, **spec: Any
) -> Conversation:
    meta = {"name": "chat", "uid": UID, "resourceVersion": "7", "generation": generation}
    return msgspec.convert({"metadata": meta, "spec": spec, "status": status or {}}, Conversation)


def deleted(conversation: Conversation) -> Conversation:
    meta = msgspec.structs.replace(conversation.metadata, deletion_timestamp=NOW)
    return msgspec.structs.replace(conversation, metadata=meta)


def a_template(name: str = "default", **spec: Any) -> Template:
    given = {"pod": BLUEPRINT} | spec
    return Template(name, "template-uid", 1, RuntimeTemplateSpec.model_validate(given))


def a_secret(key_hash: str = KEY_HASH, owner: str = UID) -> Child:
    return msgspec.convert({"metadata": _child_meta(owner, key_hash)}, Child)


def a_claim() -> Child:
    return msgspec.convert({"metadata": _child_meta(UID, "")}, Child)


def _child_meta(owner: str, key_hash: str) -> Manifest:
    return {
        "name": children_name(UID),
        "uid": "child",
        "resourceVersion": "5",
        "labels": {labels.CONVERSATION_UID: UID},
        "annotations": {labels.SESSION_KEY_HASH: key_hash, labels.RUNTIME_PORT: "8000"},
        "ownerReferences": [{"uid": owner, "controller": True}],
    }


def a_pod(
    *, owner: str = UID, key_hash: str = KEY_HASH, meta: Manifest | None = None, **parts: Any
) -> Pod:
    """A pod on a claim; `parts` are fields of its status, or `volumes` and `node`."""
    claim = {"name": "workspace", "persistentVolumeClaim": {"claimName": children_name(UID)}}
    spec = {"nodeName": parts.pop("node", "node-1"), "volumes": parts.pop("volumes", [claim])}
    metadata = _child_meta(owner, key_hash) | {"uid": POD_UID} | (meta or {})
    return msgspec.convert({"metadata": metadata, "spec": spec, "status": parts}, Pod)


def runtime(state: str = "running", **more: Any) -> Manifest:
    """The runtime container's status in that state."""
    details = {key: more.pop(key) for key in ("reason", "message", "exitCode") if key in more}
    return {"name": "runtime", "state": {state: details}} | more


READY_POD: Manifest = {
    "phase": "Running",
    "podIP": "10.1.2.3",
    "conditions": [{"type": "Ready", "status": "True"}],
    "containerStatuses": [runtime(ready=True)],
}
LEAVING: Manifest = {"deletionTimestamp": "2026-03-01T12:00:00Z"}


def a_world(conversation: Conversation | None = None, **parts: Any) -> World:
    """A Running conversation with template and Secret and no pod yet."""
    given = {
        "conversation": conversation or a_conversation(),
        "template": a_template(),
        "secret": a_secret(),
        "pods": [],
        "memory": Memory(),
        "now": NOW,
        "clock": CLOCK,
    }
    return World(**(given | parts))


def blueprint(container: dict[str, Any] | None = None, **pod: Any) -> dict[str, Any]:
    first = {"name": "runtime", "image": "agent:1"} | (container or {})
    metadata = pod.pop("metadata", {})
    return {"metadata": metadata, "spec": {"containers": [first]} | pod}


def built(template: Template | None = None, **spec: Any) -> dict[str, Any]:
    return build_pod(a_conversation(**spec), template or a_template(), KEY_HASH)


def runtime_of(pod: dict[str, Any]) -> dict[str, Any]:
    return next(c for c in pod["spec"]["containers"] if c["name"] == "runtime")
