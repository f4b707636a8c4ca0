"""Reading what the tests ask about most: conditions, and what belongs to a conversation."""

from conversations.api.labels import CONVERSATION_UID
from tests.rig.api import Api, Manifest
from tests.rig.waiting import eventually

CHILDREN = ("pods", "secrets", "persistentvolumeclaims")
READY_SECONDS = 20


def condition(manifest: Manifest, kind: str) -> Manifest:
    """That condition, or an empty dict."""
    conditions = manifest.get("status", {}).get("conditions", [])
    return next((c for c in conditions if c["type"] == kind), {})


def is_ready(conversation: Manifest) -> bool:
    """Ready, and about the spec as it is now."""
    ready = condition(conversation, "Ready")
    current = ready.get("observedGeneration") == conversation["metadata"]["generation"]
    return current and ready.get("status") == "True"


def ready_reason(conversation: Manifest) -> str:
    """The reason of Ready about the spec as it is now, or an empty string."""
    ready = condition(conversation, "Ready")
    current = ready.get("observedGeneration") == conversation["metadata"]["generation"]
    return str(ready["reason"]) if current else ""


async def wait_ready(
    api: Api, name: str, deadline_seconds: float = READY_SECONDS, not_pod: str = ""
) -> Manifest:
    """The conversation, Ready, on another pod than `not_pod` (a uid)."""
    seen: Manifest | None = None

    async def ready() -> Manifest | None:
        nonlocal seen
        seen = await api.get("conversations", name)
        good = seen and is_ready(seen) and seen["status"].get("podUID") != not_pod
        return seen if good else None

    found = await eventually(
        ready, deadline_seconds, lambda: f"{name} Ready; {(seen or {}).get('status')}"
    )
    assert found is not None
    return found


async def wait_reason(
    api: Api, name: str, reason: str, deadline_seconds: float = READY_SECONDS
) -> Manifest:
    """The conversation, not Ready for that reason."""
    seen = ""

    async def said() -> Manifest | None:
        nonlocal seen
        found = await api.get("conversations", name)
        seen = ready_reason(found) if found else "(no conversation)"
        return found if seen == reason else None

    try:
        found = await eventually(said, deadline_seconds, f"{name} {reason}")
    except AssertionError as error:
        raise AssertionError(f"{name}: {seen!r} instead of {reason!r}") from error
    assert found is not None
    return found


async def children(api: Api, uid: str | None = None) -> dict[str, list[Manifest]]:
    """All that carries a conversation's label in the namespace, by resource."""
    selector = f"{CONVERSATION_UID}={uid}" if uid else CONVERSATION_UID
    return {kind: await api.list(kind, labelSelector=selector) for kind in CHILDREN}
