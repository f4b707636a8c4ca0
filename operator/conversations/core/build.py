"""Manifests of what belongs to a conversation.  Pure: randomness and time come in as arguments."""

import copy
from base64 import b64encode
from hashlib import sha256
from typing import Any

import msgspec

from conversations.api import labels
from conversations.api.group import API_VERSION, CONVERSATION_KIND
from conversations.api.template import RUNTIME_CONTAINER, WORKSPACE_VOLUME
from conversations.core.hardening import harden_container, harden_pod
from conversations.core.inputs import InputKind, input_name
from conversations.core.names import children_name
from conversations.core.observed import Conversation
from conversations.core.protocol import runtime_env, runtime_memory, runtime_probes
from conversations.core.quantities import times
from conversations.core.template import Template

Manifest = dict[str, Any]

TMP_VOLUME = "tmp"
_MULTIPLIED = {"cpu", "memory", "ephemeral-storage"}


def build_secret(conversation: Conversation, session_key: str, runtime_secret_key: str) -> Manifest:
    """The session Secret.  Whoever gets it created has decided; it is never changed afterwards."""
    metadata = _child_metadata(conversation)
    metadata["annotations"] = {labels.SESSION_KEY_HASH: sha256(session_key.encode()).hexdigest()}
    data = {labels.SESSION_KEY: session_key, labels.RUNTIME_SECRET_KEY: runtime_secret_key}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "type": "Opaque",
        "immutable": True,
        "data": {key: b64encode(value.encode()).decode() for key, value in data.items()},
    }


def build_claim(conversation: Conversation, template: Template) -> Manifest:
    """The workspace's claim.  With retention Retain it has no owner, and so outlives us on purpose."""
    wanted = template.spec.workspace.persistent_volume_claim
    assert wanted is not None, "only called for templates with a claim"
    metadata = _child_metadata(conversation)
    if wanted.retention == "Retain":
        del metadata["ownerReferences"]
    spec: Manifest = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": wanted.size}},
    }
    if wanted.storage_class_name is not None:
        spec["storageClassName"] = wanted.storage_class_name
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": metadata,
        "spec": spec,
    }


def build_pod(conversation: Conversation, template: Template, session_key_hash: str) -> Manifest:
    """
    The runtime pod, from a template without a `problem`.

    Its name is the conversation's uid, so there cannot be two.
    """
    blueprint = copy.deepcopy(template.blueprint)
    metadata = _pod_metadata(conversation, template, blueprint.get("metadata", {}))
    metadata["annotations"] |= {
        labels.SESSION_KEY_HASH: session_key_hash,
        labels.DESIRED_HASH: desired_hash(conversation, template),
        labels.RUNTIME_PORT: str(template.spec.port),
    }
    if template.spec.protocol != "AgentServer":
        metadata["annotations"][labels.PROTOCOL] = template.spec.protocol
    spec: Manifest = blueprint["spec"]
    spec["restartPolicy"] = "Always"
    _add_volumes(spec, conversation, template)
    for container in spec["containers"]:
        if container["name"] == RUNTIME_CONTAINER:
            _complete_runtime(container, conversation, template)
    for container in [*spec["containers"], *spec.get("initContainers", [])]:
        harden_container(container)
    harden_pod(spec)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def desired_hash(conversation: Conversation, template: Template) -> str:
    """What the pod is made from, in one word: another one means that a new pod would differ."""
    made_from: tuple[object, ...] = (
        template.digest,
        conversation.spec.image,
        conversation.spec.env,
    )
    if conversation.spec.inputs.env is not None:
        made_from += (conversation.spec.inputs.env,)
    if conversation.spec.resource_factor != 1:
        made_from += (conversation.spec.resource_factor,)
    return sha256(msgspec.json.encode(made_from)).hexdigest()[:16]


def owner_reference(conversation: Conversation) -> Manifest:
    """The tie of a child to its Conversation, as its controller."""
    return {
        "apiVersion": API_VERSION,
        "kind": CONVERSATION_KIND,
        "name": conversation.metadata.name,
        "uid": conversation.metadata.uid,
        "controller": True,
    }


def _child_metadata(conversation: Conversation) -> Manifest:
    meta = conversation.metadata
    return {
        "name": children_name(meta.uid),
        "labels": {labels.CONVERSATION_UID: meta.uid, labels.MANAGED_BY: labels.MANAGER},
        "ownerReferences": [owner_reference(conversation)],
    }


def _pod_metadata(conversation: Conversation, template: Template, blueprint: Manifest) -> Manifest:
    metadata = _child_metadata(conversation)
    ours = metadata["labels"] | {
        labels.TEMPLATE: template.name,
        labels.COMPONENT: labels.RUNTIME_COMPONENT,
    }
    if conversation.spec.user is not None:
        ours[labels.USER_HASH] = labels.label_hash(conversation.spec.user)
    metadata["labels"] = blueprint.get("labels", {}) | ours
    metadata["annotations"] = dict(blueprint.get("annotations", {}))
    return metadata


def _add_volumes(spec: Manifest, conversation: Conversation, template: Template) -> None:
    workspace: Manifest = {"name": WORKSPACE_VOLUME}
    ephemeral = template.spec.workspace.empty_dir
    if ephemeral is not None:
        limit = ephemeral.size_limit
        workspace["emptyDir"] = {} if limit is None else {"sizeLimit": limit}
    else:
        workspace["persistentVolumeClaim"] = {"claimName": children_name(conversation.metadata.uid)}
    volumes = [v for v in spec.get("volumes", []) if v.get("name") != WORKSPACE_VOLUME]
    if not any(volume.get("name") == TMP_VOLUME for volume in volumes):
        volumes.append({"name": TMP_VOLUME, "emptyDir": {}})
    spec["volumes"] = [*volumes, workspace]


def _complete_runtime(container: Manifest, conversation: Conversation, template: Template) -> None:
    if conversation.spec.image is not None:
        container["image"] = conversation.spec.image
    container["ports"] = _with_runtime_port(container.get("ports", []), template.spec.port)
    _mount(container, WORKSPACE_VOLUME, template.spec.workspace.mount_path)
    _mount(container, TMP_VOLUME, "/tmp")
    container["env"] = _runtime_env(container.get("env", []), conversation, template)
    if conversation.spec.inputs.env is not None:
        secret = {"name": input_name(conversation.metadata.name, InputKind.ENV)}
        container["envFrom"] = [*container.get("envFrom", []), {"secretRef": secret}]
    for probe, definition in runtime_probes(template.spec).items():
        container.setdefault(probe, definition)
    harden_container(container, runtime_memory(template.spec, container["env"]))
    _multiply(container["resources"], conversation.spec.resource_factor)


def _multiply(resources: Manifest, factor: int) -> None:
    for amounts in (resources["requests"], resources["limits"]):
        for name in _MULTIPLIED & amounts.keys():
            amounts[name] = times(amounts[name], factor) if factor != 1 else amounts[name]


def _with_runtime_port(ports: list[Manifest], port: int) -> list[Manifest]:
    if any(entry.get("containerPort") == port for entry in ports):
        return ports
    return [*ports, {"name": "http", "containerPort": port}]


def _mount(container: Manifest, volume: str, path: str) -> None:
    mounts = container.setdefault("volumeMounts", [])
    if not any(str(mount.get("mountPath")).rstrip("/") == path.rstrip("/") for mount in mounts):
        mounts.append({"name": volume, "mountPath": path})


def _runtime_env(
    blueprint: list[Manifest], conversation: Conversation, template: Template
) -> list[Manifest]:
    # Kubernetes would expand $(NAME) in a value; the user wrote a literal.
    asked = [{"name": v.name, "value": v.value.replace("$", "$$")} for v in conversation.spec.env]
    defaults, enforced = runtime_env(template.spec, children_name(conversation.metadata.uid))
    enforced_names = {entry["name"] for entry in enforced}
    given = [entry for entry in [*blueprint, *asked] if entry["name"] not in enforced_names]
    given_names = {entry["name"] for entry in given}
    open_defaults = [entry for entry in defaults if entry["name"] not in given_names]
    return [*open_defaults, *given, *enforced]
