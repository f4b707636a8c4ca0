"""What the crash tests do to a conversation, each with what it starts from and how it ends."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tests.rig.api import Api, Manifest
from tests.rig.manifests import BEHAVIOUR, EMPTY_DIR, PERSISTENT, a_conversation
from tests.rig.observe import children, is_ready, ready_reason, wait_ready, wait_reason

TALK = "talk"
SETTLE_SECONDS = 90
"""Long, because a killed operator may have to queue for its restart on a small machine."""

Before = Manifest
"""The conversation as it was before the trigger; empty where there was none."""


@dataclass(frozen=True, eq=False)
class Scenario:
    """`prepare`, then `trigger`; over when `is_done` says so, given what `prepare` returned."""

    name: str
    prepare: Callable[[Api], Awaitable[Before]]
    trigger: Callable[[Api, Before], Awaitable[Any]]
    is_done: Callable[[Api, Before], Awaitable[bool]]
    workspace: Manifest


async def nothing(api: Api) -> Before:
    return {}


async def ready_conversation(api: Api) -> Before:
    await api.create("conversations", a_conversation(TALK))
    return await wait_ready(api, TALK)


async def paused_conversation(api: Api) -> Before:
    await ready_conversation(api)
    await api.patch("conversations", TALK, {"spec": {"mode": "Paused"}})
    return await wait_reason(api, TALK, "Paused")


async def create_it(api: Api, before: Before) -> None:
    await api.create("conversations", a_conversation(TALK))


async def pause_it(api: Api, before: Before) -> None:
    await api.patch("conversations", TALK, {"spec": {"mode": "Paused"}})


async def resume_it(api: Api, before: Before) -> None:
    await api.patch("conversations", TALK, {"spec": {"mode": "Running"}})


async def lose_pod(api: Api, before: Before) -> None:
    await api.delete("pods", before["status"]["podName"], gracePeriodSeconds=0)


async def evict_pod(api: Api, before: Before) -> None:
    evicted = {"metadata": {"annotations": {BEHAVIOUR: "evict"}}}
    await api.patch("pods", before["status"]["podName"], evicted)


async def lose_secret(api: Api, before: Before) -> None:
    await api.delete("secrets", before["status"]["sessionKeySecret"])


async def delete_it(api: Api, before: Before) -> None:
    await api.delete("conversations", TALK, propagationPolicy="Background")


async def recreate_it(api: Api, before: Before) -> None:
    await delete_it(api, before)
    await create_it(api, before)


async def ready_again(api: Api, before: Before) -> bool:
    """Ready on a pod that is there, and not the one of before."""
    found = await api.get("conversations", TALK)
    if not found or not is_ready(found):
        return False
    old_pod = before.get("status", {}).get("podUID")
    pod = await api.get("pods", found["status"]["podName"])
    new_pod = found["status"]["podUID"]
    return new_pod != old_pod and pod is not None and pod["metadata"]["uid"] == new_pod


async def ready_with_new_key(api: Api, before: Before) -> bool:
    if not await ready_again(api, before):
        return False
    found = await api.get("conversations", TALK) or {}
    new_hash: bool = found["status"]["sessionKeyHash"] != before["status"]["sessionKeyHash"]
    return new_hash


async def paused(api: Api, before: Before) -> bool:
    found = await api.get("conversations", TALK)
    if not found or ready_reason(found) != "Paused":
        return False
    return not (await children(api))["pods"]


async def gone(api: Api, before: Before) -> bool:
    owned = await children(api, before["metadata"]["uid"])
    return not any(owned.values()) and await api.get("conversations", TALK) is None


async def replaced(api: Api, before: Before) -> bool:
    """The successor under the same name is Ready, and nothing of the predecessor is left."""
    found = await api.get("conversations", TALK)
    if not found or found["metadata"]["uid"] == before["metadata"]["uid"] or not is_ready(found):
        return False
    return not any((await children(api, before["metadata"]["uid"])).values())


COLD_START = Scenario("cold start", nothing, create_it, ready_again, EMPTY_DIR)
COLD_START_WITH_CLAIM = Scenario(
    "cold start with claim", nothing, create_it, ready_again, PERSISTENT
)
PAUSE = Scenario("pause", ready_conversation, pause_it, paused, PERSISTENT)
RESUME = Scenario("resume", paused_conversation, resume_it, ready_again, PERSISTENT)
POD_DELETED = Scenario("pod deleted", ready_conversation, lose_pod, ready_again, PERSISTENT)
POD_EVICTED = Scenario("pod evicted", ready_conversation, evict_pod, ready_again, EMPTY_DIR)
SECRET_LOST = Scenario(
    "secret lost", ready_conversation, lose_secret, ready_with_new_key, PERSISTENT
)

WRITING = (
    COLD_START,
    COLD_START_WITH_CLAIM,
    PAUSE,
    RESUME,
    POD_DELETED,
    POD_EVICTED,
    SECRET_LOST,
)
"""Scenarios in which the operator writes: it is killed at each write."""

DELETING = (
    Scenario("delete", ready_conversation, delete_it, gone, PERSISTENT),
    Scenario("delete and recreate", ready_conversation, recreate_it, replaced, PERSISTENT),
)
"""Scenarios of deletion: the operator is killed at each event that it is told."""
