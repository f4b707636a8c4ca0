"""
Killed at any point, the operator ends where it would have ended undisturbed.

Every scenario is recorded once; then the operator is killed with SIGKILL before and after each of
its writes, and instead of being told each event of a deletion.  The scenarios run side by side,
because most of their time is waiting.
"""

from functools import partial
from pathlib import Path

import pytest

from tests.rig import faults
from tests.rig.cluster import Cluster
from tests.rig.disturb import Outcome, Rehearsal
from tests.rig.faults import EventFault, WriteFault
from tests.rig.scenarios import DELETING, WRITING, Scenario
from tests.rig.side_by_side import Complaints, selected, side_by_side, told
from tests.rig.world import World, namespace_world, run_operator

pytestmark = pytest.mark.timeout(420)


async def crash_everywhere(cluster: Cluster, folder: Path, scenario: Scenario) -> Complaints:
    async with namespace_world(cluster, folder) as world:
        await run_operator(world, scenario.workspace)
        rehearsal = Rehearsal(world, scenario)
        wanted = await rehearsal.undisturbed()
        complaints: Complaints = {}
        for name, fault in crash_points(world, scenario, wanted).items():
            if found := await rehearsal.with_fault(wanted, fault):
                complaints[name] = found
        return complaints


def crash_points(
    world: World, scenario: Scenario, wanted: Outcome
) -> dict[str, WriteFault | EventFault]:
    effect = faults.kill(world.operator.kill)
    points: dict[str, WriteFault | EventFault] = {}
    for number, write in enumerate(wanted.writes, start=1):
        points[f"before {number}: {write}"] = WriteFault(number, "before", effect)
        points[f"after {number}: {write}"] = WriteFault(number, "after", effect)
    if scenario in DELETING:
        for number in range(1, wanted.events + 1):
            points[f"at event {number}"] = EventFault(number, effect)
    return points


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
