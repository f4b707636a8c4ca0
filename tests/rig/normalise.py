"""
The end state of a namespace, without what differs between two good runs.

Taken out, and nothing else: uids, session keys and their hashes, resource versions, times, IP
addresses, the node that the scheduler chose, the managers of fields, and the measured
`startupMilliseconds` (absent after a restart by design).
"""

import re
from typing import Any

from conversations.api.labels import CONVERSATION_UID
from tests.rig.api import Api, Manifest
from tests.rig.observe import CHILDREN

TIME = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
UID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
DIGEST = re.compile(r"\b[0-9a-f]{64}\b")
ADDRESS = re.compile(r"\b\d{1,3}(\.\d{1,3}){3}\b")
DROPPED = frozenset(
    {"resourceVersion", "managedFields", "nodeName", "startupMilliseconds", "volumeName"}
)
KUBERNETES_ANNOTATIONS = ("pv.kubernetes.io/", "volume.kubernetes.io/", "volume.beta.")


async def end_state(api: Api) -> dict[str, Any]:
    """Conversations and their children, comparable between runs."""
    state: dict[str, Any] = {}
    for resource in ("conversations", *CHILDREN):
        labels = {} if resource == "conversations" else {"labelSelector": CONVERSATION_UID}
        items = [normalise(item, api.namespace) for item in await api.list(resource, **labels)]
        state[resource] = sorted(items, key=lambda item: str(item["metadata"]["name"]))
    return state


def normalise(value: Any, namespace: str) -> Any:
    """The same structure with placeholders for what may differ."""
    if isinstance(value, dict):
        return {
            key: sorted(inner) if key == "data" else normalise(inner, namespace)
            for key, inner in value.items()
            if _is_kept(key)
        }
    if isinstance(value, list):
        return [normalise(inner, namespace) for inner in value]
    return _plain(value, namespace) if isinstance(value, str) else value


def _is_kept(key: str) -> bool:
    return key not in DROPPED and not key.startswith(KUBERNETES_ANNOTATIONS)


def _plain(text: str, namespace: str) -> str:
    text = text.replace(namespace, "<namespace>")
    for pattern, placeholder in ((TIME, "time"), (UID, "uid"), (DIGEST, "hash"), (ADDRESS, "ip")):
        text = pattern.sub(f"<{placeholder}>", text)
    return re.sub(r"kube-api-access-\w{5}", "kube-api-access-<random>", text)


def differences(wanted: Any, found: Any, where: str = "") -> list[str]:
    """One line for each place where the two differ."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        return [
            line
            for key in sorted({*wanted, *found})
            for line in differences(wanted.get(key), found.get(key), f"{where}.{key}")
        ]
    if isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        return [
            line
            for index, (one, other) in enumerate(zip(wanted, found, strict=True))
            for line in differences(one, other, f"{where}[{index}]")
        ]
    return [] if wanted == found else [f"{where}: wanted {wanted!r}, found {found!r}"]


def has_ended(manifest: Manifest) -> bool:
    """Whether a pod can never run again."""
    return manifest.get("status", {}).get("phase") in ("Succeeded", "Failed")
