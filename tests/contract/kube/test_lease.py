"""One of several candidates acts, and another soon does when that one is gone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress

import pytest

from conversations.cluster.connection import Connection
from conversations.cluster.lease import Candidacy, LeaderElection
from conversations.cluster.paths import collection
from tests.rig.waiting import eventually
from tests.small_api.server import Server, connect

LEASES = collection("coordination.k8s.io", "v1", "leases", "default")
NAME = "conversation-operator"


class Candidate:
    """A replica that takes part, and what it was told."""

    def __init__(self, connection: Connection, identity: str) -> None:
        self.told: list[bool] = []
        candidacy = Candidacy("default", NAME, identity, duration_seconds=1, renew_seconds=0.2)
        self.election = LeaderElection(connection, candidacy, self.told.append)
        self.task = asyncio.create_task(self.election.run())

    @property
    def leads(self) -> bool:
        return self.election.leading

    async def dies(self) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task


class Field:
    """Candidates, each with a connection of its own."""

    def __init__(self, server: Server, stack: AsyncExitStack) -> None:
        self.server, self._stack = server, stack
        self.candidates: list[Candidate] = []

    async def enter(self, identity: str) -> Candidate:
        connection = await self._stack.enter_async_context(connect(self.server))
        candidate = Candidate(connection, identity)
        self.candidates.append(candidate)
        return candidate

    @property
    def holder(self) -> str:
        spec = self.server.store.get(LEASES, NAME)["spec"]
        return str(spec.get("holderIdentity", ""))


@pytest.fixture
async def field(small_api: Server) -> AsyncIterator[Field]:
    async with AsyncExitStack() as stack:
        field = Field(small_api, stack)
        yield field
        for candidate in field.candidates:
            await candidate.dies()


async def test_the_first_candidate_leads_and_keeps_leading(field: Field) -> None:
    one = await field.enter("one")
    await eventually(lambda: one.leads, 5)
    two = await field.enter("two")
    await asyncio.sleep(1.5)
    assert (one.told, two.told) == ([True], [])
    assert field.holder == "one"


async def test_only_one_of_many_that_start_together_leads(field: Field) -> None:
    many = [await field.enter(f"c{number}") for number in range(4)]
    await eventually(lambda: any(c.leads for c in many), 5)
    for _ in range(20):
        assert sum(c.leads for c in many) <= 1
        await asyncio.sleep(0.05)


async def test_a_dead_holder_is_succeeded(field: Field) -> None:
    one = await field.enter("one")
    await eventually(lambda: one.leads, 5)
    two = await field.enter("two")
    await one.dies()
    await eventually(lambda: two.leads, 5)
    lease = field.server.store.get(LEASES, NAME)["spec"]
    assert (lease["holderIdentity"], lease["leaseTransitions"]) == ("two", 1)


async def test_a_released_lease_is_taken_at_once(field: Field) -> None:
    one = await field.enter("one")
    await eventually(lambda: one.leads, 5)
    await one.dies()
    await one.election.release()
    assert field.holder == ""
    assert one.told == [True, False]
    began = asyncio.get_running_loop().time()
    two = await field.enter("two")
    await eventually(lambda: two.leads, 5)
    assert asyncio.get_running_loop().time() - began < 0.6


async def test_nobody_releases_what_another_holds(field: Field) -> None:
    one = await field.enter("one")
    await eventually(lambda: one.leads, 5)
    await one.dies()
    field.server.store.patch(LEASES, NAME, {"spec": {"holderIdentity": "two"}})
    await one.election.release()
    assert field.holder == "two"


async def test_a_release_does_not_wait_for_a_server_that_hangs(field: Field) -> None:
    one = await field.enter("one")
    await eventually(lambda: one.leads, 5)
    await one.dies()
    field.server.hang.clear()
    async with asyncio.timeout(4):
        await one.election.release()
    field.server.hang.set()
    assert one.told == [True, False]


async def test_a_holder_that_cannot_renew_stops_before_another_may_start(field: Field) -> None:
    one = await field.enter("one")
    await eventually(lambda: one.leads, 5)
    field.server.hang.clear()
    await eventually(lambda: not one.leads, 5)
    assert one.told == [True, False]
    field.server.hang.set()
    await eventually(lambda: one.leads, 5)
    assert one.told == [True, False, True]


async def test_a_short_outage_does_not_depose(field: Field) -> None:
    one = await field.enter("one")
    await eventually(lambda: one.leads, 5)
    field.server.answers = [(503, "ServiceUnavailable")] * 2
    await eventually(lambda: not field.server.answers, 5)
    await asyncio.sleep(0.3)
    assert one.told == [True]


async def test_a_create_whose_reply_is_lost_is_ours(field: Field) -> None:
    field.server.answers_after_commit = [(503, "ServiceUnavailable")]
    one = await field.enter("one")
    await eventually(lambda: one.leads, 5)
    assert field.holder == "one"


async def test_a_renewal_whose_reply_is_lost_is_made_again(field: Field) -> None:
    one = await field.enter("one")
    await eventually(lambda: one.leads, 5)
    field.server.answers_after_commit = [(503, "ServiceUnavailable")] * 2
    await eventually(lambda: not field.server.answers_after_commit, 5)
    await asyncio.sleep(0.5)
    assert (one.told, field.holder) == ([True], "one")


async def test_a_conflict_on_renewal_is_no_loss_and_a_usurper_is(field: Field) -> None:
    one = await field.enter("one")
    await eventually(lambda: one.leads, 5)
    field.server.answers_after_commit = [(409, "Conflict")]
    await eventually(lambda: not field.server.answers_after_commit, 5)
    assert one.told == [True]
    field.server.store.patch(LEASES, NAME, {"spec": {"holderIdentity": "usurper"}})
    await eventually(lambda: not one.leads, 5)


async def test_a_restarted_holder_goes_on_at_once(field: Field) -> None:
    one = await field.enter("one")
    await eventually(lambda: one.leads, 5)
    await one.dies()
    again = await field.enter("one")
    await eventually(lambda: again.leads, 0.5)
    assert field.server.store.get(LEASES, NAME)["spec"].get("leaseTransitions", 0) == 0


async def test_a_lease_deleted_by_hand_is_made_again(field: Field) -> None:
    one = await field.enter("one")
    await eventually(lambda: one.leads, 5)
    field.server.store.remove(LEASES, NAME)
    await eventually(lambda: (LEASES, NAME) in field.server.store.objects, 5)
    assert one.told == [True]


async def test_clocks_of_other_machines_do_not_matter(field: Field) -> None:
    one = await field.enter("one")
    await eventually(lambda: one.leads, 5)
    two = await field.enter("two")
    for _ in range(8):
        field.server.store.patch(LEASES, NAME, {"spec": {"renewTime": "1999-01-01T00:00:00Z"}})
        await asyncio.sleep(0.15)
    assert two.told == []
