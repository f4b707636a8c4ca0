"""
Killed at any point, the operator ends where it would have ended undisturbed.

Every scenario is recorded once; then the operator is killed with SIGKILL before and after each of
its writes, and instead of being told each event of a deletion.  The scenarios run side by side,
because most of their time is waiting.
"""

import asyncio
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.rig import faults
from tests.rig.cluster import Cluster
from tests.rig.disturb import Outcome, Rehearsal
from tests.rig.faults import EventFault, Moment, WriteFault
from tests.rig.scenarios import DELETING, WRITING, Scenario
from tests.rig.side_by_side import Complaints, selected, side_by_side, told
from tests.rig.world import World, namespace_world, run_operator

MOMENTS: tuple[Moment, ...] = ("before", "after")
POINTS = 8
"""How many crashes one world goes through, one after the other."""

pytestmark = pytest.mark.timeout(600)


@dataclass(frozen=True)
class Point:
    """Where to kill: a write before or after it is done, or an event instead of its delivery."""

    number: int
    moment: Moment | None
    label: str

    def fault(self, world: World) -> WriteFault | EventFault:
        effect = faults.kill(world.operator.kill)
        if self.moment is None:
            return EventFault(self.number, effect)
        return WriteFault(self.number, self.moment, effect)


def crash_points(scenario: Scenario, wanted: Outcome) -> list[Point]:
    points = [
        Point(number, moment, f"{moment} {number}: {write}")
        for number, write in enumerate(wanted.writes, start=1)
        for moment in MOMENTS
    ]
    if scenario in DELETING:
        events = range(1, wanted.events + 1)
        points += [Point(number, None, f"at event {number}") for number in events]
    return points


async def crash_everywhere(cluster: Cluster, folder: Path, scenario: Scenario) -> Complaints:
    """Record in one world; what is too much for it is played in others."""
    async with namespace_world(cluster, folder) as world:
        await run_operator(world, scenario.workspace)
        wanted = await Rehearsal(world, scenario).undisturbed()
        points = crash_points(scenario, wanted)
        more = [points[i : i + POINTS] for i in range(POINTS, len(points), POINTS)]
        found = await asyncio.gather(
            crash_at(world, scenario, wanted, points[:POINTS]),
            *(crash_elsewhere(cluster, folder, scenario, wanted, chunk) for chunk in more),
        )
        return {label: lines for part in found for label, lines in part.items()}


async def crash_elsewhere(
    cluster: Cluster, folder: Path, scenario: Scenario, wanted: Outcome, points: list[Point]
) -> Complaints:
    async with namespace_world(cluster, folder) as world:
        await run_operator(world, scenario.workspace)
        return await crash_at(world, scenario, wanted, points)


async def crash_at(
    world: World, scenario: Scenario, wanted: Outcome, points: list[Point]
) -> Complaints:
    rehearsal = Rehearsal(world, scenario)
    found = {p.label: await rehearsal.with_fault(wanted, p.fault(world)) for p in points}
    return {label: lines for label, lines in found.items() if lines}


@pytest.fixture(scope="module")
def complaints(
    cluster: Cluster,
    crds: None,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> dict[str, Complaints]:
    """By scenario: where a run with a crash did not end as the one without."""
    folder = tmp_path_factory.mktemp("crash")
    scenarios = selected(request, "scenario")
    return side_by_side({s.name: partial(crash_everywhere, cluster, folder, s) for s in scenarios})


@pytest.mark.parametrize("scenario", [*WRITING, *DELETING], ids=lambda scenario: scenario.name)
def test_a_crash_changes_nothing(scenario: Scenario, complaints: dict[str, Complaints]) -> None:
    assert not complaints[scenario.name], told(complaints[scenario.name])
