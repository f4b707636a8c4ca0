"""The test acts as the operator: it writes the status that a client waits for."""

import base64
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

from conversations.api.group import API_VERSION, CONVERSATION_KIND
from conversations.api.labels import RUNTIME_PORT, SESSION_KEY
from conversations.client import Conversation
from conversations.core.names import children_name
from tests.rig.api import Api, Manifest


def condition(
    kind: str, status: str, reason: str, message: str = "words", generation: int = 1
) -> Manifest:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "observedGeneration": generation,
    }


async def report(
    api: Api, target: Conversation | str, *conditions: Manifest, **status: Any
) -> None:
    """Write these conditions into the status."""
    name = target if isinstance(target, str) else target.metadata.name
    await api.patch("conversations/status", name, {"status": {"conditions": conditions, **status}})


async def report_ready(api: Api, target: Conversation, **status: Any) -> None:
    ready = condition("Ready", "True", "RuntimeReady", generation=target.metadata.generation)
    await report(api, target, ready, **status)


async def give_key(api: Api, target: Conversation, key: str) -> str:
    """Make the session Secret as the operator does; returns the hash for the status."""
    await api.create(
        "secrets",
        {
            "metadata": {"name": children_name(target.metadata.uid)},
            "data": {SESSION_KEY: base64.b64encode(key.encode()).decode()},
        },
    )
    return sha256(key.encode()).hexdigest()


async def give_pod(api: Api, target: Conversation, url: str) -> dict[str, str]:
    """Make a pod of the conversation's own, Ready at that url; returns what the status says of it."""
    name, place = children_name(target.metadata.uid), urlsplit(url)
    owner = {
        "apiVersion": API_VERSION,
        "kind": CONVERSATION_KIND,
        "name": target.metadata.name,
        "uid": target.metadata.uid,
        "controller": True,
    }
    metadata = {
        "name": name,
        "annotations": {RUNTIME_PORT: str(place.port)},
        "ownerReferences": [owner],
    }
    # No scheduler of that name: the pod stays as the test writes it.
    spec = {"schedulerName": "nobody", "containers": [{"name": "runtime", "image": "any"}]}
    pod = await api.create("pods", {"metadata": metadata, "spec": spec})
    ready = {"type": "Ready", "status": "True"}
    seen = {"phase": "Running", "podIP": place.hostname, "conditions": [ready]}
    await api.patch("pods/status", name, {"status": seen | {"podIPs": [{"ip": place.hostname}]}})
    return {"podName": name, "podUID": pod["metadata"]["uid"], "url": url}


def owner_reference(owner: Manifest) -> Manifest:
    """What ties a child to a Conversation."""
    return {
        "apiVersion": API_VERSION,
        "kind": CONVERSATION_KIND,
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
    }
