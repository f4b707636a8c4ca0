"""The operator's Role is exactly what the operator does: no missing verb, no spare one."""

from pathlib import Path

import pytest

from conversations.cluster.permissions import OPERATOR_RULES
from tests.rig.api import Api
from tests.rig.cluster import Cluster
from tests.rig.manifests import BEHAVIOUR, PERSISTENT, a_conversation, a_template
from tests.rig.observe import wait_ready, wait_reason
from tests.rig.operator import Operator
from tests.rig.record import flatten_rules
from tests.rig.scenarios import SECRET_LOST
from tests.rig.waiting import eventually
from tests.rig.world import World, open_world, wait_accepted

LEASE = "conversation-operator"
BACKED_OFF_SECONDS = 40
"""The second replacement waits 10 s."""


@pytest.mark.timeout(240)
async def test_the_record_equals_the_role(cluster: Cluster, api: Api, tmp_path: Path) -> None:
    templates = tmp_path / "templates"
    templates.mkdir()
    (templates / "default.yaml").write_text(_yaml(a_template(workspace=PERSISTENT)))
    async with open_world(cluster, api, tmp_path) as world:
        operator = await world.add_operator(lease=LEASE, templates_dir=str(templates))
        await operator.start()
        await wait_accepted(api, "default")
        await live_through_everything(world, operator)
        record = world.proxy.record
        refused = [entry for entry in record.entries if entry.status in (401, 403)]
        assert refused == []
        assert record.granted_rules() == flatten_rules(OPERATOR_RULES)


def _yaml(manifest: object) -> str:
    import yaml

    return str(yaml.safe_dump(manifest))


async def live_through_everything(world: World, operator: Operator) -> None:
    """Every path that talks to the API server in a way of its own."""
    api = world.api
    await api.create("conversations", a_conversation())
    before = await wait_ready(api, "talk")
    await pause_and_resume(api)
    before = await wait_ready(api, "talk")
    await SECRET_LOST.trigger(api, before)
    await eventually(lambda: SECRET_LOST.is_done(api, before), 40, "a new session key")
    before = await wait_ready(api, "talk")
    await api.patch("pods", before["status"]["podName"], _behave("evict"))
    await wait_ready(api, "talk", BACKED_OFF_SECONDS, not_pod=before["status"]["podUID"])
    await eventually(lambda: _has_event(api), 20, "an Event")
    assert await operator.terminate() == 0
    await operator.start()
    await wait_ready(api, "talk")


async def pause_and_resume(api: Api) -> None:
    await api.patch("conversations", "talk", {"spec": {"mode": "Paused"}})
    await wait_reason(api, "talk", "Paused")
    await api.patch("conversations", "talk", {"spec": {"mode": "Running"}})


def _behave(behaviour: str) -> dict[str, object]:
    return {"metadata": {"annotations": {BEHAVIOUR: behaviour}}}


async def _has_event(api: Api) -> bool:
    events = await api.list("events", fieldSelector="involvedObject.kind=Conversation")
    return bool(events)
