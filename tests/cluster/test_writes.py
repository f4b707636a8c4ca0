"""How often the operator writes: the API server's cost per object is the ceiling of the system."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Self

import pytest

from tests.rig.api import Api, Manifest
from tests.rig.cluster import Cluster
from tests.rig.manifests import BEHAVIOUR, PERSISTENT, a_conversation, a_template
from tests.rig.observe import is_ready, wait_ready, wait_reason
from tests.rig.waiting import eventually, quiet
from tests.rig.world import World, open_world, run_operator, wait_accepted

QUIET_SECONDS = 2.5
REST_SECONDS = 30
CROWD = 200

CREATE_SECRET = "create secrets 201"
CREATE_CLAIM = "create persistentvolumeclaims 201"
CREATE_POD = "create pods 201"
PATCH_STATUS = "patch conversations/status 200"


@pytest.fixture
async def world(cluster: Cluster, api: Api, tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(cluster, api, tmp_path) as world:
        await run_operator(world)
        yield world


class Ledger:
    """The writes since it was opened, once they have stopped."""

    def __init__(self, world: World, start: int) -> None:
        self._world = world
        self._start = start

    @classmethod
    async def open(cls, world: World) -> Self:
        """From now on, when earlier writes have been recorded."""
        return cls(world, await world.settled_write_count())

    async def settled(self) -> list[str]:
        await quiet(self._world.write_count, QUIET_SECONDS, 30)
        return self._world.proxy.record.summary()[self._start :]


async def test_a_cold_start_is_three_writes(world: World) -> None:
    ledger = await Ledger.open(world)
    await world.api.create("conversations", a_conversation())
    await wait_ready(world.api, "talk")
    assert await ledger.settled() == [CREATE_SECRET, CREATE_POD, PATCH_STATUS]


async def test_progress_is_one_more(world: World) -> None:
    await world.api.create("runtimetemplates", a_template("slow", annotations={BEHAVIOUR: "slow"}))
    await wait_accepted(world.api, "slow")
    ledger = await Ledger.open(world)
    await world.api.create("conversations", a_conversation(template="slow"))
    await wait_ready(world.api, "talk")
    assert await ledger.settled() == [CREATE_SECRET, CREATE_POD, PATCH_STATUS, PATCH_STATUS]


async def test_a_claim_is_one_more(world: World) -> None:
    await world.api.create("runtimetemplates", a_template("kept", workspace=PERSISTENT))
    await wait_accepted(world.api, "kept")
    ledger = await Ledger.open(world)
    await world.api.create("conversations", a_conversation(template="kept"))
    await wait_ready(world.api, "talk")
    written = await ledger.settled()
    assert sorted(written) == sorted([CREATE_SECRET, CREATE_CLAIM, CREATE_POD, PATCH_STATUS])


async def test_a_spec_change_is_at_most_one(world: World) -> None:
    await world.api.create("conversations", a_conversation())
    await wait_ready(world.api, "talk")
    ledger = await Ledger.open(world)
    await world.api.patch("conversations", "talk", {"spec": {"env": [{"name": "A", "value": "b"}]}})
    assert await ledger.settled() in ([], [PATCH_STATUS])
    found = await world.api.get("conversations", "talk")
    assert found and is_ready(found), "Ready speaks about the new generation"


async def test_a_foreign_annotation_is_none(world: World) -> None:
    await world.api.create("conversations", a_conversation())
    await wait_ready(world.api, "talk")
    ledger = await Ledger.open(world)
    await world.api.patch("conversations", "talk", {"metadata": {"annotations": {"a": "b"}}})
    assert await ledger.settled() == []


async def test_a_delete_is_none(world: World) -> None:
    await world.api.create("conversations", a_conversation())
    await wait_ready(world.api, "talk")
    ledger = await Ledger.open(world)
    await world.api.delete("conversations", "talk", propagationPolicy="Background")
    await eventually(lambda: _all_gone(world.api), 30, "children gone")
    assert await ledger.settled() == []


async def _all_gone(api: Api) -> bool:
    return not await api.list("pods") and not await api.list("conversations")


@pytest.mark.timeout(240)
async def test_a_crowd_at_rest_and_after_a_restart_is_none(world: World) -> None:
    await start_crowd(world)
    ledger = await Ledger.open(world)
    await quiet(world.write_count, REST_SECONDS, REST_SECONDS + 5)
    assert await ledger.settled() == []
    assert await world.operator.terminate() == 0
    await world.operator.start()
    assert await ledger.settled() == []
    assert len(await ready_ones(world.api)) == CROWD


async def start_crowd(world: World) -> None:
    names = [f"talk-{number}" for number in range(CROWD)]
    await asyncio.gather(
        *(world.api.create("conversations", a_conversation(name)) for name in names)
    )

    async def all_ready() -> bool:
        return len(await ready_ones(world.api)) == CROWD

    await eventually(all_ready, 60, f"{CROWD} Ready")


async def ready_ones(api: Api) -> list[Manifest]:
    return [found for found in await api.list("conversations") if is_ready(found)]


async def test_a_permanent_error_is_no_storm(world: World) -> None:
    """I7: what cannot succeed is tried at most a few times a minute."""
    await world.api.create("resourcequotas", _no_pods())
    await eventually(lambda: _quota_counts(world.api), 20, "the quota is in force")
    await world.api.create("conversations", a_conversation())
    await wait_reason(world.api, "talk", "QuotaExceeded")
    ledger = await Ledger.open(world)
    await asyncio.sleep(20)
    assert len(await ledger.settled()) <= 2


def _no_pods() -> Manifest:
    return {"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}


async def _quota_counts(api: Api) -> bool:
    quota = await api.get("resourcequotas", "none")
    return bool(quota) and "pods" in (quota or {}).get("status", {}).get("hard", {})
