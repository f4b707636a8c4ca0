"""
What the API server or the network does to one write is forgotten once it is over.

A hang lasts until the operator gives the request up, so each has a world of its own and all of
them wait at the same time.
"""

import asyncio
from functools import partial
from pathlib import Path

import pytest

from tests.rig import faults
from tests.rig.cluster import Cluster
from tests.rig.disturb import Outcome, Rehearsal
from tests.rig.faults import Moment, WriteFault
from tests.rig.points import Point, play_everywhere
from tests.rig.scenarios import COLD_START_WITH_CLAIM, RESUME, WRITING, Scenario
from tests.rig.side_by_side import Complaints, Run, selected, side_by_side, told
from tests.rig.world import World, namespace_world, run_operator

pytestmark = pytest.mark.timeout(420)

FAULTS: dict[str, tuple[Moment, faults.Effect]] = {
    "reply lost": ("after", faults.lose_reply),
    "request lost": ("before", faults.lose_reply),
    "409": ("before", faults.answer(409, "Conflict")),
    "429": ("before", faults.answer(429, "TooManyRequests", Retry_After="1")),
    "500": ("before", faults.answer(500, "InternalError")),
    "500 after the commit": ("after", faults.answer(500, "InternalError")),
}

HANGING = {COLD_START_WITH_CLAIM: 4, RESUME: 2}
"""How many writes of the scenario are made to hang."""


def fault_points(scenario: Scenario, wanted: Outcome) -> list[Point]:
    return [
        Point(f"{kind} at {number}: {write}", partial(fault_at, number, kind))
        for number, write in enumerate(wanted.writes, start=1)
        for kind in FAULTS
    ]


def fault_at(number: int, kind: str, world: World) -> WriteFault:
    return WriteFault(number, *FAULTS[kind])


async def hang_once(cluster: Cluster, folder: Path, scenario: Scenario, number: int) -> list[str]:
    async with namespace_world(cluster, folder) as world:
        await run_operator(world, scenario.workspace)
        rehearsal = Rehearsal(world, scenario)
        wanted = await rehearsal.undisturbed()
        assert number <= len(wanted.writes), "fewer writes than this test was written for"
        return await rehearsal.with_fault(wanted, WriteFault(number, "before", faults.hang))


async def hang_everywhere(cluster: Cluster, folder: Path, scenario: Scenario) -> Complaints:
    numbers = range(1, HANGING[scenario] + 1)
    runs = await asyncio.gather(
        *(hang_once(cluster, folder, scenario, number) for number in numbers)
    )
    return {f"hang at {n}": found for n, found in zip(numbers, runs, strict=True) if found}


@pytest.fixture(scope="module")
def complaints(
    cluster: Cluster,
    crds: None,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> dict[str, Complaints]:
    """By scenario: where a disturbed run did not end as the one without."""
    folder = tmp_path_factory.mktemp("faults")
    play = partial(play_everywhere, cluster, folder, points_of=fault_points)
    runs: dict[str, Run] = {s.name: partial(play, s) for s in selected(request, "scenario")}
    for scenario in selected(request, "hanging"):
        runs[f"{scenario.name} hanging"] = partial(hang_everywhere, cluster, folder, scenario)
    return side_by_side(runs)


@pytest.mark.parametrize("scenario", WRITING, ids=lambda scenario: scenario.name)
def test_a_fault_changes_nothing(scenario: Scenario, complaints: dict[str, Complaints]) -> None:
    assert not complaints[scenario.name], told(complaints[scenario.name])


@pytest.mark.parametrize("hanging", HANGING, ids=lambda scenario: scenario.name)
def test_a_hang_changes_nothing(hanging: Scenario, complaints: dict[str, Complaints]) -> None:
    assert not complaints[f"{hanging.name} hanging"], told(complaints[f"{hanging.name} hanging"])
