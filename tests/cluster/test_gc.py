"""Cleanup is owner references and nothing else: it needs no operator to be alive."""

import asyncio
from pathlib import Path

import pytest

from tests.rig.api import Api
from tests.rig.cluster import Cluster
from tests.rig.manifests import PERSISTENT, a_conversation
from tests.rig.observe import children, is_ready
from tests.rig.waiting import eventually
from tests.rig.world import open_world, run_operator

CROWD = 200
FEW = 20
GONE_SECONDS = 60


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("count", "operator_lives"), [(CROWD, True), (FEW, False)], ids=["operator up", "operator down"]
)
async def test_nothing_is_left_a_minute_after(
    cluster: Cluster, api: Api, tmp_path: Path, count: int, operator_lives: bool
) -> None:
    names = [f"talk-{number}" for number in range(count)]
    async with open_world(cluster, api, tmp_path) as world:
        operator = await run_operator(world, PERSISTENT)
        await asyncio.gather(*(api.create("conversations", a_conversation(n)) for n in names))

        async def all_ready() -> bool:
            return sum(is_ready(c) for c in await api.list("conversations")) == count

        async def nothing_left() -> bool:
            owned = await children(api)
            return not any(owned.values()) and not await api.list("conversations")

        await eventually(all_ready, 90, f"{count} Ready")
        if not operator_lives:
            assert await operator.terminate() == 0
        written = await world.settled_write_count()
        await asyncio.gather(*(api.delete("conversations", name) for name in names))
        await eventually(nothing_left, GONE_SECONDS, "nothing left")
        assert world.write_count() == written
