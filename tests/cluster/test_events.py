"""What a person is told by Events: nothing while all goes well, and nothing twice in five minutes."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.rig.api import Api, Manifest
from tests.rig.cluster import Cluster
from tests.rig.manifests import BEHAVIOUR, PERSISTENT, a_conversation, a_template
from tests.rig.observe import wait_ready, wait_reason
from tests.rig.waiting import eventually
from tests.rig.world import World, open_world, run_operator, wait_accepted


@pytest.fixture
async def world(cluster: Cluster, api: Api, tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(cluster, api, tmp_path) as world:
        yield world


async def told(api: Api) -> Counter[str]:
    """How many Events there are about conversations, by reason."""
    events = await api.list("events", fieldSelector="involvedObject.kind=Conversation")
    return Counter(event["reason"] for event in events)


async def test_the_normal_path_is_silent(world: World) -> None:
    api = world.api
    await run_operator(world, PERSISTENT)
    await api.create("runtimetemplates", a_template("slow", annotations={BEHAVIOUR: "slow"}))
    await wait_accepted(api, "slow")
    await api.create("conversations", a_conversation())
    await api.create("conversations", a_conversation("later", template="slow"))
    await wait_ready(api, "talk")
    await wait_ready(api, "later")
    env = [{"name": "A", "value": "b"}]
    await api.patch("conversations", "talk", {"spec": {"mode": "Paused", "env": env}})
    await wait_reason(api, "talk", "Paused")
    await api.patch("conversations", "talk", {"spec": {"mode": "Running"}})
    await wait_ready(api, "talk")
    for name in ("talk", "later"):
        await api.delete("conversations", name)
    await eventually(lambda: _no_pods(api), 30, "pods gone")
    assert await told(api) == {}


async def _no_pods(api: Api) -> bool:
    return not await api.list("pods")


async def test_what_flaps_is_told_once(world: World) -> None:
    """Also by an operator that was killed in between, and does not remember."""
    api = world.api
    await run_operator(world)
    await api.create("conversations", a_conversation())
    pod = (await wait_ready(api, "talk"))["status"]["podName"]
    for number in range(4):
        await turn(api, pod, ready=False)
        await wait_reason(api, "talk", "NotResponding")
        await turn(api, pod, ready=True)
        await wait_ready(api, "talk")
        if number == 1:
            world.operator.kill()
            await world.operator.died()
            await world.operator.start()
    await api.delete("pods", pod, gracePeriodSeconds=0)
    await eventually(lambda: _is_told(api, "PodLost"), 20, "PodLost")
    counts = await told(api)
    assert counts["PodLost"] == 1
    # Events are named after five minutes of the clock: who forgot may tell once more in the next.
    assert counts["NotResponding"] <= 2
    slots = {event["metadata"]["name"] for event in await api.list("events", **ABOUT_FLAPPING)}
    assert len(slots) == counts["NotResponding"]


ABOUT_FLAPPING = {"fieldSelector": "involvedObject.kind=Conversation,reason=NotResponding"}


async def _is_told(api: Api, reason: str) -> bool:
    return bool((await told(api))[reason])


async def turn(api: Api, name: str, ready: bool) -> None:
    """As kubelet would after its readiness probe; the operator's view of it is a second old at most."""
    word = "True" if ready else "False"
    pod: Manifest = await api.get("pods", name) or {}
    for entry in pod["status"]["conditions"]:
        if entry["type"] in ("Ready", "ContainersReady"):
            entry["status"] = word
    for entry in pod["status"]["containerStatuses"]:
        entry["ready"] = ready
    await api.patch("pods/status", name, {"status": pod["status"]})


async def test_each_conversation_has_its_own_events(world: World) -> None:
    api = world.api
    await run_operator(world)
    names = [f"talk-{number}" for number in range(3)]
    await asyncio.gather(
        *(api.create("conversations", a_conversation(name, template="none")) for name in names)
    )

    async def all_told() -> list[Manifest] | None:
        events = await api.list("events", fieldSelector="reason=TemplateNotFound")
        return events if len(events) == len(names) else None

    events = await eventually(all_told, 20, "three Events")
    assert sorted(event["involvedObject"]["name"] for event in events) == names
    assert all("create it" in event["message"] for event in events)
    assert all(event["type"] == "Warning" for event in events)
