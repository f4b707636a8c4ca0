"""A running pod outlives changes of its spec and its template; a condition says that it is old."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.rig.api import Api, Manifest
from tests.rig.cluster import Cluster
from tests.rig.manifests import IMAGE, PERSISTENT, a_conversation, a_template
from tests.rig.observe import condition, is_ready, wait_ready, wait_reason
from tests.rig.waiting import eventually
from tests.rig.world import World, open_world, run_operator, wait_accepted

OTHER_IMAGE = "conversation-operator/agent-server:other"


@pytest.fixture
async def world(cluster: Cluster, api: Api, tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(cluster, api, tmp_path) as world:
        await run_operator(world, PERSISTENT)
        yield world


async def wait_up_to_date(api: Api, status: str, reason: str) -> Manifest:
    """The conversation, with that to say of its pod."""
    seen: Manifest = {}

    async def said() -> Manifest | None:
        nonlocal seen
        found = await api.get("conversations", "talk") or {}
        seen = condition(found, "UpToDate")
        return found if (seen.get("status"), seen.get("reason")) == (status, reason) else None

    found = await eventually(said, 20, lambda: f"UpToDate {status} {reason}; {seen}")
    assert found is not None
    return found


async def restart(api: Api) -> Manifest:
    await api.patch("conversations", "talk", {"spec": {"mode": "Paused"}})
    await wait_reason(api, "talk", "Paused")
    await api.patch("conversations", "talk", {"spec": {"mode": "Running"}})
    return await wait_ready(api, "talk")


async def runtime_of(api: Api, conversation: Manifest) -> Manifest:
    pod = await api.get("pods", conversation["status"]["podName"])
    assert pod is not None
    container: Manifest = pod["spec"]["containers"][0]
    return container


async def test_env_and_image_act_at_the_next_start(world: World) -> None:
    api = world.api
    template = a_template("open", PERSISTENT)
    template["spec"]["allowedImages"] = ["conversation-operator/*:*"]
    await api.create("runtimetemplates", template)
    await wait_accepted(api, "open")
    await api.create("conversations", a_conversation(template="open"))
    before = await wait_ready(api, "talk")
    await wait_up_to_date(api, "True", "AsDesired")

    wish = {"env": [{"name": "A", "value": "$(HOME) $B"}], "image": OTHER_IMAGE}
    await api.patch("conversations", "talk", {"spec": wish})
    found = await wait_up_to_date(api, "False", "SpecChanged")
    assert is_ready(found)
    assert found["status"]["podUID"] == before["status"]["podUID"]
    assert (await runtime_of(api, found))["image"] == IMAGE

    after = await restart(api)
    await wait_up_to_date(api, "True", "AsDesired")
    assert after["status"]["sessionKeyHash"] == before["status"]["sessionKeyHash"]
    runtime = await runtime_of(api, after)
    assert runtime["image"] == OTHER_IMAGE
    assert {"name": "A", "value": "$$(HOME) $$B"} in runtime["env"]


async def test_a_running_pod_outlives_its_template(world: World) -> None:
    api = world.api
    await api.create("conversations", a_conversation())
    before = await wait_ready(api, "talk")
    changed = a_template(workspace=PERSISTENT, container={"image": OTHER_IMAGE})
    await api.patch("runtimetemplates", "default", {"spec": changed["spec"]})
    found = await wait_up_to_date(api, "False", "SpecChanged")
    assert is_ready(found) and found["status"]["podUID"] == before["status"]["podUID"]

    await api.delete("runtimetemplates", "default")
    found = await wait_up_to_date(api, "False", "TemplateNotFound")
    assert is_ready(found) and found["status"]["podUID"] == before["status"]["podUID"]

    await api.create("runtimetemplates", a_template(workspace=PERSISTENT))
    found = await wait_up_to_date(api, "True", "AsDesired")
    assert found["status"]["podUID"] == before["status"]["podUID"]


async def test_without_its_template_a_lost_pod_is_not_replaced(world: World) -> None:
    api = world.api
    await api.create("conversations", a_conversation())
    before = await wait_ready(api, "talk")
    await api.delete("runtimetemplates", "default")
    await wait_up_to_date(api, "False", "TemplateNotFound")
    await api.delete("pods", before["status"]["podName"], gracePeriodSeconds=0)
    await wait_reason(api, "talk", "TemplateNotFound")
    await api.create("runtimetemplates", a_template(workspace=PERSISTENT))
    await wait_ready(api, "talk", not_pod=before["status"]["podUID"])


async def test_an_image_that_is_no_longer_allowed_stops_the_next_start_only(world: World) -> None:
    api = world.api
    template = a_template("open", PERSISTENT)
    template["spec"]["allowedImages"] = [OTHER_IMAGE]
    await api.create("runtimetemplates", template)
    await wait_accepted(api, "open")
    await api.create("conversations", a_conversation(template="open", image=OTHER_IMAGE))
    await wait_ready(api, "talk")
    await api.patch("runtimetemplates", "open", {"spec": {"allowedImages": []}})
    await wait_accepted(api, "open")
    await api.patch("conversations", "talk", {"spec": {"mode": "Paused"}})
    await wait_reason(api, "talk", "Paused")
    await api.patch("conversations", "talk", {"spec": {"mode": "Running"}})
    await wait_reason(api, "talk", "ImageNotAllowed")
    await api.patch("conversations", "talk", {"spec": {"image": None}})
    await wait_ready(api, "talk")
