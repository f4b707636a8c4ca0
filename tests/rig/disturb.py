"""Rehearse a scenario, undisturbed and then with a fault at each point, and compare the ends."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.rig.api import Manifest
from tests.rig.faults import EventFault, WriteFault
from tests.rig.normalise import differences, end_state
from tests.rig.observe import children
from tests.rig.scenarios import SETTLE_SECONDS, TALK, Scenario
from tests.rig.waiting import eventually, quiet
from tests.rig.world import World

QUIET_SECONDS = 2.5
"""Longer than the operator holds back progress, so that no late write is missed."""
PREPARED_SECONDS = 0.5
GONE_SECONDS = 60

Fault = WriteFault | EventFault


@dataclass(frozen=True)
class Outcome:
    """How an undisturbed run went: what the disturbed ones are held against."""

    state: dict[str, Any]
    writes: list[str]
    events: int


class Rehearsal:
    """One scenario, played again and again in one world; the first operator meets the faults."""

    def __init__(self, world: World, scenario: Scenario) -> None:
        self._world = world
        self._scenario = scenario

    async def undisturbed(self) -> Outcome:
        """The run in which nothing goes wrong."""
        counter = EventFault(at=0, effect=_nothing)
        already = 0

        def arm() -> None:
            nonlocal already
            self._world.proxy.arm(counter)
            already = self._world.write_count()

        state = await self._play(arm)
        writes = self._world.proxy.record.summary()[already:]
        await self._clear()
        return Outcome(state, writes, counter.seen)

    async def disturbed(
        self, wanted: Outcome, arm: Callable[[], None], disarm: Callable[[], None]
    ) -> list[str]:
        """Where the end differs although the world was put right again by `disarm`."""
        supervisor = asyncio.create_task(self._restart_when_dead())
        try:
            state = await self._play(arm, disarm)
        except AssertionError as error:
            broken = [str(supervisor.exception())] if supervisor.done() else []
            return [*broken, str(error)]
        finally:
            supervisor.cancel()
            await asyncio.gather(supervisor, return_exceptions=True)
            self._world.proxy.arm(None)
            disarm()
            await self._clear()
        return differences(wanted.state, state)

    async def with_fault(self, wanted: Outcome, fault: Fault) -> list[str]:
        """Where the end differs because of that fault; it must have struck."""
        found = await self.disturbed(wanted, lambda: self._world.proxy.arm(fault), lambda: None)
        missed = isinstance(fault, WriteFault) and not fault.struck
        return [*found, "the fault never struck"] if missed else found

    async def _play(
        self, arm: Callable[[], None], disarm: Callable[[], None] = lambda: None
    ) -> dict[str, Any]:
        before = await self._scenario.prepare(self._world.api)
        await self._at_rest(PREPARED_SECONDS)
        arm()
        await self._scenario.trigger(self._world.api, before)
        await self._done(before)
        disarm()
        await self._at_rest()
        await self._done(before)
        return await end_state(self._world.api)

    async def _done(self, before: Manifest) -> None:
        world, scenario = self._world, self._scenario
        await eventually(
            lambda: scenario.is_done(world.api, before),
            SETTLE_SECONDS,
            lambda: (
                f"{scenario.name}; {world.proxy.record.summary()[-10:]}\n{world.operator.tail()}"
            ),
        )

    async def _at_rest(self, seconds: float = QUIET_SECONDS) -> None:
        await quiet(self._world.write_count, seconds, SETTLE_SECONDS)

    async def _restart_when_dead(self) -> None:
        """What the Deployment would do."""
        while True:
            await self._world.operator.died(deadline_seconds=None)
            await self._world.operator.start()

    async def _clear(self) -> None:
        """No conversation and no trace of one, so that the next run starts as the first did."""
        await eventually(self._world.operator.is_ready_or_dead, GONE_SECONDS, "operator ready")
        if not self._world.operator.is_running:
            await self._world.operator.start()
        await self._world.api.delete("conversations", TALK)
        await eventually(self._nothing_left, GONE_SECONDS, "nothing left of the last run")

    async def _nothing_left(self) -> bool:
        owned = await children(self._world.api)
        return not any(owned.values()) and not await self._world.api.list("conversations")


async def _nothing() -> None:
    return None
