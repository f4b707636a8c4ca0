"""The operator's Role is exactly what the operator does: no missing verb, no spare one."""

from functools import partial
from pathlib import Path

import pytest
import yaml

from conversations.cluster.permissions import OPERATOR_RULES
from conversations.core.inputs import InputKind, build_input, document_data, input_hash
from tests.rig.api import Api
from tests.rig.cluster import Cluster
from tests.rig.manifests import PERSISTENT, a_conversation, a_template
from tests.rig.observe import wait_ready, wait_reason
from tests.rig.operator import Operator
from tests.rig.record import flatten_rules
from tests.rig.scenarios import POD_DELETED, POD_EVICTED, SECRET_LOST
from tests.rig.waiting import eventually
from tests.rig.world import World, open_world, wait_accepted

LEASE = "conversation-operator"
FOREIGN_SPEC = {"containers": [{"name": "other", "image": "other"}]}


@pytest.mark.timeout(240)
async def test_the_record_equals_the_role(cluster: Cluster, api: Api, tmp_path: Path) -> None:
    templates = tmp_path / "templates"
    templates.mkdir()
    (templates / "default.yaml").write_text(yaml.safe_dump(a_template(workspace=PERSISTENT)))
    async with open_world(cluster, api, tmp_path) as world:
        sweeping = {"resync_seconds": "20", "orphan_seconds": "1"}
        operator = await world.add_operator(lease=LEASE, templates_dir=str(templates), **sweeping)
        await operator.start()
        await wait_accepted(api, "default")
        await live_through_everything(world, operator)
        record = world.proxy.record
        refused = [entry for entry in record.entries if entry.status in (401, 403)]
        assert refused == []
        assert record.granted_rules() == flatten_rules(OPERATOR_RULES)


async def live_through_everything(world: World, operator: Operator) -> None:
    """Every path that talks to the API server in a way of its own."""
    api = world.api
    await api.create("conversations", a_conversation())
    await wait_ready(api, "talk")
    for scenario in (POD_DELETED, SECRET_LOST, POD_EVICTED):
        await pause_and_resume(api)
        before = await wait_ready(api, "talk")
        await scenario.trigger(api, before)
        await eventually(partial(scenario.is_done, api, before), 40, scenario.name)
    await eventually(partial(has_event, api), 20, "an Event")
    await meet_a_foreign_pod(api)
    await adopt_and_sweep(api)
    assert await operator.terminate() == 0
    await operator.start()
    await wait_ready(api, "talk")


async def meet_a_foreign_pod(api: Api) -> None:
    made = await api.create("conversations", a_conversation("taken", mode="Paused"))
    await wait_reason(api, "taken", "Paused")
    pod = {"metadata": {"name": f"conv-{made['metadata']['uid']}"}, "spec": FOREIGN_SPEC}
    await api.create("pods", pod)
    await api.patch("conversations", "taken", {"spec": {"mode": "Running"}})
    await wait_reason(api, "taken", "NameTaken")


async def adopt_and_sweep(api: Api) -> None:
    data = document_data({})
    for name in ("told", "nobody"):
        await api.create("secrets", build_input(name, InputKind.SETTINGS, data))
    inputs = {"settings": input_hash(data)}
    await api.create("conversations", a_conversation("told", inputs=inputs))
    await wait_ready(api, "told")

    async def is_done() -> bool:
        mine = await api.get("secrets", "told.settings")
        swept = await api.get("secrets", "nobody.settings") is None
        return swept and mine is not None and "ownerReferences" in mine["metadata"]

    await eventually(is_done, 60, "one input adopted, the other swept")


async def pause_and_resume(api: Api) -> None:
    await api.patch("conversations", "talk", {"spec": {"mode": "Paused"}})
    await wait_reason(api, "talk", "Paused")
    await api.patch("conversations", "talk", {"spec": {"mode": "Running"}})


async def has_event(api: Api) -> bool:
    events = await api.list("events", fieldSelector="involvedObject.kind=Conversation")
    return bool(events)
