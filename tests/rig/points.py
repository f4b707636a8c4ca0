"""Playing a scenario with a fault at each of many points, several worlds at the same time."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.rig.cluster import Cluster
from tests.rig.disturb import Fault, Outcome, Rehearsal
from tests.rig.scenarios import Scenario
from tests.rig.side_by_side import Complaints
from tests.rig.world import World, namespace_world, run_operator

POINTS = 12
"""How many disturbed runs one world goes through, one after the other."""


@dataclass(frozen=True)
class Point:
    """A fault to be, made for the world that it will strike."""

    label: str
    make_fault: Callable[[World], Fault]


async def play_everywhere(
    cluster: Cluster,
    folder: Path,
    scenario: Scenario,
    points_of: Callable[[Scenario, Outcome], list[Point]],
) -> Complaints:
    """Record in one world; the points that are too many for it are played in others."""
    async with namespace_world(cluster, folder) as world:
        await run_operator(world, scenario.workspace)
        rehearsal = Rehearsal(world, scenario)
        wanted = await rehearsal.undisturbed()
        points = points_of(scenario, wanted)
        chunks = [points[start : start + POINTS] for start in range(POINTS, len(points), POINTS)]

        async def elsewhere(chunk: list[Point]) -> Complaints:
            async with namespace_world(cluster, folder) as other:
                await run_operator(other, scenario.workspace)
                return await _play(other, Rehearsal(other, scenario), wanted, chunk)

        found = await asyncio.gather(
            _play(world, rehearsal, wanted, points[:POINTS]),
            *(elsewhere(chunk) for chunk in chunks),
        )
    return {label: lines for part in found for label, lines in part.items()}


async def _play(
    world: World, rehearsal: Rehearsal, wanted: Outcome, points: list[Point]
) -> Complaints:
    found = {p.label: await rehearsal.with_fault(wanted, p.make_fault(world)) for p in points}
    return {label: lines for label, lines in found.items() if lines}
