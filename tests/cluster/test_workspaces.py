"""What happens to a workspace's claim, and what is said when it is not there or not ours."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.rig.api import Api, Manifest
from tests.rig.cluster import Cluster
from tests.rig.manifests import BEHAVIOUR, PERSISTENT, a_conversation
from tests.rig.observe import condition, wait_ready, wait_reason
from tests.rig.waiting import eventually
from tests.rig.world import open_world, run_operator

CLAIM: Manifest = {
    "accessModes": ["ReadWriteOnce"],
    "resources": {"requests": {"storage": "1Mi"}},
}


@pytest.fixture
async def api_with_operator(cluster: Cluster, api: Api, tmp_path: Path) -> AsyncIterator[Api]:
    async with open_world(cluster, api, tmp_path) as world:
        await run_operator(world, PERSISTENT)
        yield api


async def claim_of(api: Api, conversation: Manifest) -> Manifest | None:
    return await api.get("persistentvolumeclaims", f"conv-{conversation['metadata']['uid']}")


async def paused(api: Api) -> Manifest:
    await api.patch("conversations", "talk", {"spec": {"mode": "Paused"}})
    return await wait_reason(api, "talk", "Paused")


async def resume(api: Api) -> None:
    await api.patch("conversations", "talk", {"spec": {"mode": "Running"}})


async def test_the_claim_outlives_pause_and_pod_loss(api_with_operator: Api) -> None:
    api = api_with_operator
    await api.create("conversations", a_conversation())
    first = await wait_ready(api, "talk")
    claim = await claim_of(api, first)
    assert claim and first["status"]["workspace"] == claim["metadata"]["name"]
    await paused(api)
    await resume(api)
    second = await wait_ready(api, "talk")
    annotations = {BEHAVIOUR: "evict"}
    await api.patch("pods", second["status"]["podName"], {"metadata": {"annotations": annotations}})
    third = await wait_ready(api, "talk", not_pod=second["status"]["podUID"])
    kept = await claim_of(api, third)
    assert kept and kept["metadata"]["uid"] == claim["metadata"]["uid"]
    assert condition(third, "WorkspaceLost") == {}
    hashes = {each["status"]["sessionKeyHash"] for each in (first, second, third)}
    assert len(hashes) == 1


async def test_a_workspace_that_is_gone_is_said_before_an_empty_one_takes_its_place(
    api_with_operator: Api,
) -> None:
    api = api_with_operator
    await api.create("conversations", a_conversation())
    first = await wait_ready(api, "talk")
    await paused(api)
    await api.delete("persistentvolumeclaims", first["status"]["workspace"])

    async def gone() -> bool:
        return await claim_of(api, first) is None

    await eventually(gone, 20, "the claim is gone")
    await resume(api)
    found = await wait_ready(api, "talk")
    lost = condition(found, "WorkspaceLost")
    assert (lost["status"], lost["reason"]) == ("True", "VolumeGone")
    events = await api.list("events", fieldSelector="reason=VolumeGone")
    assert len(events) == 1


async def test_a_claim_of_somebody_else_is_not_used(api_with_operator: Api) -> None:
    api = api_with_operator
    made = await api.create("conversations", a_conversation(mode="Paused"))
    await wait_reason(api, "talk", "Paused")
    name = f"conv-{made['metadata']['uid']}"
    foreign = {"metadata": {"name": name}, "spec": CLAIM}
    theirs = await api.create("persistentvolumeclaims", foreign)
    await resume(api)
    found = await wait_reason(api, "talk", "NameTaken")
    assert name in condition(found, "Ready")["message"]
    assert await api.list("pods") == []
    left = await claim_of(api, found)
    assert left and left["metadata"]["uid"] == theirs["metadata"]["uid"]
    assert left["metadata"].get("ownerReferences") is None
