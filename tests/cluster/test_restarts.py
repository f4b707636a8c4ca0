"""How a lost pod is replaced: at once, then slower and slower, then not before somebody looked."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from conversations.core.restarts import RESTART_LIMIT
from tests.rig.api import Api, Manifest
from tests.rig.cluster import Cluster
from tests.rig.manifests import BEHAVIOUR, a_conversation
from tests.rig.observe import condition, wait_ready, wait_reason
from tests.rig.world import World, open_world, run_operator


@pytest.fixture
async def world(cluster: Cluster, api: Api, tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(cluster, api, tmp_path) as world:
        await run_operator(world)
        yield world


async def fail(api: Api, conversation: Manifest) -> None:
    annotations = {BEHAVIOUR: "fail"}
    pod = conversation["status"]["podName"]
    await api.patch("pods", pod, {"metadata": {"annotations": annotations}})


async def ready(api: Api, name: str = "talk") -> Manifest:
    await api.create("conversations", a_conversation(name))
    return await wait_ready(api, name)


async def pod_made(api: Api, conversation: Manifest) -> datetime:
    pod = await api.get("pods", conversation["status"]["podName"])
    assert pod is not None
    return datetime.fromisoformat(pod["metadata"]["creationTimestamp"])


def lost(conversation: Manifest) -> datetime:
    return datetime.fromisoformat(conversation["status"]["lastRestartTime"])


async def test_the_first_at_once_the_second_after_ten_seconds(world: World) -> None:
    api = world.api
    first = await ready(api)
    await fail(api, first)
    second = await wait_ready(api, "talk", not_pod=first["status"]["podUID"])
    assert second["status"]["restarts"] == 1
    assert await pod_made(api, second) - lost(second) < timedelta(seconds=5)

    await fail(api, second)
    await asyncio.sleep(3)
    waiting = await wait_reason(api, "talk", "PodFailed")
    assert waiting["status"]["restarts"] == 2
    assert "podName" not in waiting["status"]
    third = await wait_ready(api, "talk", not_pod=second["status"]["podUID"])
    # Times of Kubernetes have no fractions.
    assert await pod_made(api, third) - lost(third) >= timedelta(seconds=9)


async def at_the_limit(api: Api, name: str) -> None:
    conversation = await ready(api, name)
    await api.patch("conversations/status", name, {"status": {"restarts": RESTART_LIMIT}})
    await fail(api, conversation)
    found = await wait_reason(api, name, "RestartLimitReached")
    assert found["status"]["phase"] == "Failed"
    assert "PodFailed" in condition(found, "Ready")["message"]


async def paused_and_resumed(api: Api, name: str) -> None:
    await api.patch("conversations", name, {"spec": {"mode": "Paused"}})
    await wait_reason(api, name, "Paused")
    await api.patch("conversations", name, {"spec": {"mode": "Running"}})


async def changed(api: Api, name: str) -> None:
    await api.patch("conversations", name, {"spec": {"env": [{"name": "A", "value": "b"}]}})


@pytest.mark.parametrize("new_chance", [paused_and_resumed, changed])
async def test_at_the_limit_a_person_must_act(world: World, new_chance: object) -> None:
    api = world.api
    await at_the_limit(api, "talk")
    writes = await world.settled_write_count()
    await asyncio.sleep(3)
    assert await api.list("pods") == []
    assert world.write_count() == writes
    await new_chance(api, "talk")  # type: ignore[operator]
    found = await wait_ready(api, "talk")
    assert "restarts" not in found["status"]


async def test_a_limit_outlives_the_operator(world: World) -> None:
    await at_the_limit(world.api, "talk")
    world.operator.kill()
    await world.operator.died()
    await world.operator.start()
    await asyncio.sleep(2)
    assert await world.api.list("pods") == []
    await wait_reason(world.api, "talk", "RestartLimitReached")


async def test_ten_good_minutes_and_it_counts_from_one_again(world: World) -> None:
    api = world.api
    found = await ready(api)
    long_ago = (datetime.now(UTC) - timedelta(minutes=11)).strftime("%Y-%m-%dT%H:%M:%SZ")
    conditions = found["status"]["conditions"]
    condition(found, "Ready")["lastTransitionTime"] = long_ago
    await api.patch(
        "conversations/status", "talk", {"status": {"restarts": 5, "conditions": conditions}}
    )
    await fail(api, found)
    again = await wait_ready(api, "talk", not_pod=found["status"]["podUID"])
    assert again["status"]["restarts"] == 1
