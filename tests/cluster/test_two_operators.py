"""
A Lease is an optimisation: two operators at once, one of them half blind, end where one would.

The blind one is told nothing new of some resources while it is told of the others, which is worse
than being cut off: it acts, and on stale knowledge.
"""

from functools import partial
from pathlib import Path

import pytest

from tests.rig.cluster import Cluster
from tests.rig.disturb import Rehearsal
from tests.rig.scenarios import DELETING, WRITING, Scenario
from tests.rig.side_by_side import Complaints, selected, side_by_side, told
from tests.rig.world import namespace_world, run_operator

pytestmark = pytest.mark.timeout(300)

BLINDNESS: dict[str, tuple[str, ...]] = {
    "sees all": (),
    "blind for pods and secrets": ("pods", "secrets"),
    "blind for conversations": ("conversations",),
    "blind for all": ("pods", "secrets", "conversations"),
}


async def play_with_two(cluster: Cluster, folder: Path, scenario: Scenario) -> Complaints:
    async with namespace_world(cluster, folder) as world:
        await run_operator(world, scenario.workspace)
        rehearsal = Rehearsal(world, scenario)
        wanted = await rehearsal.undisturbed()
        second = await world.add_operator()
        await second.start()
        blind = world.proxies[1]
        complaints: Complaints = {}
        for name, resources in BLINDNESS.items():
            blindfold = partial(blind.freeze_watches, *resources)
            found = await rehearsal.disturbed(wanted, blindfold, blind.thaw_watches)
            if found:
                complaints[name] = found
        return complaints


@pytest.fixture(scope="module")
def complaints(
    cluster: Cluster,
    crds: None,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> dict[str, Complaints]:
    """By scenario: where two operators did not end as one does."""
    folder = tmp_path_factory.mktemp("two")
    scenarios = selected(request, "scenario")
    return side_by_side({s.name: partial(play_with_two, cluster, folder, s) for s in scenarios})


@pytest.mark.parametrize("scenario", [*WRITING, *DELETING], ids=lambda scenario: scenario.name)
def test_two_end_as_one(scenario: Scenario, complaints: dict[str, Complaints]) -> None:
    assert not complaints[scenario.name], told(complaints[scenario.name])
