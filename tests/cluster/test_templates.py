"""A RuntimeTemplate is judged once per generation, and the chart's ones come from a folder."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.rig.api import Api, Manifest
from tests.rig.cluster import Cluster
from tests.rig.manifests import PERSISTENT, a_conversation, a_template
from tests.rig.observe import children, condition, wait_ready, wait_reason
from tests.rig.waiting import eventually, quiet
from tests.rig.world import World, open_world, run_operator, wait_accepted

QUIET_SECONDS = 2.5


@pytest.fixture
async def world(cluster: Cluster, api: Api, tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(cluster, api, tmp_path) as world:
        yield world


async def wait_rejected(api: Api, name: str) -> str:
    """The words of the refusal."""

    async def said() -> str | None:
        found = await api.get("runtimetemplates", name) or {}
        accepted = condition(found, "Accepted")
        current = accepted.get("observedGeneration") == found["metadata"]["generation"]
        return accepted["message"] if current and accepted["status"] == "False" else None

    message: str = await eventually(said, 20, f"{name} rejected")
    return message


@pytest.mark.parametrize(
    ("pod", "words"),
    [
        ({"restartPolicies": "Never"}, 'unknown field "spec.restartPolicies"'),
        ({"container": {"image": ""}}, "image: Required value"),
        ({"container": {"resources": {"limits": {"cpu": "many"}}}}, "quantities must match"),
        ({"container": {"name": "other"}}, "runtime"),
    ],
)
async def test_a_blueprint_that_makes_no_pod_is_rejected_in_the_servers_words(
    world: World, pod: dict[str, Any], words: str
) -> None:
    api = world.api
    await run_operator(world)
    await api.create("runtimetemplates", a_template("bad", **pod))
    assert words in await wait_rejected(api, "bad")
    await api.create("conversations", a_conversation(template="bad"))
    found = await wait_reason(api, "talk", "PodRejected")
    assert words in condition(found, "Ready")["message"]
    await mend(api, pod)
    await wait_ready(api, "talk")


async def mend(api: Api, pod: dict[str, Any]) -> None:
    """What was added is taken away again, and the conversation starts by itself."""
    nulls = {key: None for key in pod if key != "container"}
    good = a_template("bad")["spec"]
    good["pod"]["spec"] |= nulls
    await api.patch("runtimetemplates", "bad", {"spec": good})
    await wait_accepted(api, "bad")


async def test_what_the_blueprint_sets_in_the_environment_is_the_admins(world: World) -> None:
    api = world.api
    await run_operator(world)
    env = [{"name": "PROXY", "value": "admin"}]
    await api.create("runtimetemplates", a_template("strict", container={"env": env}))
    await wait_accepted(api, "strict")
    theirs = [{"name": "PROXY", "value": "user"}]
    await api.create("conversations", a_conversation(template="strict", env=theirs))
    found = await wait_reason(api, "talk", "EnvNotAllowed")
    assert "PROXY" in condition(found, "Ready")["message"]
    await api.patch("conversations", "talk", {"spec": {"env": []}})
    await wait_ready(api, "talk")


async def test_a_template_is_judged_once_and_not_again_after_a_restart(world: World) -> None:
    operator = await run_operator(world)
    judged = dry_runs(world)
    assert await operator.terminate() == 0
    await operator.start()
    await quiet(lambda: len(world.proxy.record.entries), QUIET_SECONDS, 30)
    assert dry_runs(world) == judged == 1


def dry_runs(world: World) -> int:
    calls = [entry.call for entry in world.proxy.record.entries]
    return len([call for call in calls if call.dry_run and call.resource == "pods"])


async def test_the_folder_is_applied_and_what_is_unchanged_is_not_written(world: World) -> None:
    folder = world.folder / "templates"
    folder.mkdir()
    (folder / "a-broken.yaml").write_text("{")
    (folder / "b-refused.yaml").write_text(yaml.safe_dump(a_template("Not A Label")))
    (folder / "default.yaml").write_text(yaml.safe_dump(a_template()))
    operator = await world.add_operator(templates_dir=str(folder))
    await operator.start()
    await wait_accepted(world.api, "default")

    assert await operator.terminate() == 0
    before = world.proxy.record.summary()
    await operator.start()
    await quiet(world.write_count, QUIET_SECONDS, 30)
    written = world.proxy.record.summary()[len(before) :]
    assert [line for line in written if line.endswith(("200", "201"))] == []

    assert await operator.terminate() == 0
    changed: Manifest = a_template(container={"image": "conversation-operator/other:dev"})
    (folder / "default.yaml").write_text(yaml.safe_dump(changed))
    await operator.start()
    await eventually(lambda: _has_image(world.api, "conversation-operator/other:dev"), 20, "image")


async def _has_image(api: Api, image: str) -> bool:
    found = await api.get("runtimetemplates", "default") or {}
    return bool(found["spec"]["pod"]["spec"]["containers"][0]["image"] == image)


@pytest.mark.parametrize(("retention", "is_left"), [("Retain", True), ("Delete", False)])
async def test_the_workspace_outlives_its_conversation_only_by_policy(
    world: World, retention: str, is_left: bool
) -> None:
    """I5.  Nobody but the admin gives a retained claim to another conversation."""
    api = world.api
    claim = {**PERSISTENT["persistentVolumeClaim"], "retention": retention}
    await run_operator(world, {"persistentVolumeClaim": claim})
    await api.create("conversations", a_conversation())
    first = await wait_ready(api, "talk")
    await api.delete("conversations", "talk", propagationPolicy="Background")

    async def only_the_claim() -> bool:
        left = await children(api, first["metadata"]["uid"])
        claims = len(left.pop("persistentvolumeclaims"))
        return not any(left.values()) and claims == is_left

    await eventually(only_the_claim, 30, "garbage collection")
    await api.create("conversations", a_conversation())
    second = await wait_ready(api, "talk")
    assert second["status"]["workspace"] != first["status"]["workspace"]
    assert await only_the_claim()
