"""
Killed at any point, the operator ends where it would have ended undisturbed.

Every scenario is recorded once; then the operator is killed with SIGKILL before and after each of
its writes, and instead of being told each event of a deletion.  The scenarios run side by side,
because most of their time is waiting.
"""

from functools import partial

import pytest

from tests.rig import faults
from tests.rig.cluster import Cluster
from tests.rig.disturb import Outcome
from tests.rig.faults import EventFault, Moment, WriteFault
from tests.rig.points import Point, play_everywhere
from tests.rig.scenarios import DELETING, WRITING, Scenario
from tests.rig.side_by_side import Complaints, selected, side_by_side, told
from tests.rig.world import World

MOMENTS: tuple[Moment, ...] = ("before", "after")

pytestmark = pytest.mark.timeout(420)


def crash_points(scenario: Scenario, wanted: Outcome) -> list[Point]:
    """Before and after each write; for a deletion, instead of being told each event too."""
    points = [
        Point(f"{moment} {number}: {write}", partial(crash_at_write, number, moment))
        for number, write in enumerate(wanted.writes, start=1)
        for moment in MOMENTS
    ]
    if scenario in DELETING:
        events = range(1, wanted.events + 1)
        points += [
            Point(f"at event {number}", partial(crash_at_event, number)) for number in events
        ]
    return points


def crash_at_write(number: int, moment: Moment, world: World) -> WriteFault:
    return WriteFault(number, moment, faults.kill(world.operator.kill))


def crash_at_event(number: int, world: World) -> EventFault:
    return EventFault(number, faults.kill(world.operator.kill))


@pytest.fixture(scope="module")
def complaints(
    cluster: Cluster,
    crds: None,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> dict[str, Complaints]:
    """By scenario: where a run with a crash did not end as the one without."""
    folder = tmp_path_factory.mktemp("crash")
    play = partial(play_everywhere, cluster, folder, points_of=crash_points)
    return side_by_side({s.name: partial(play, s) for s in selected(request, "scenario")})


@pytest.mark.parametrize("scenario", [*WRITING, *DELETING], ids=lambda scenario: scenario.name)
def test_a_crash_changes_nothing(scenario: Scenario, complaints: dict[str, Complaints]) -> None:
    assert not complaints[scenario.name], told(complaints[scenario.name])
