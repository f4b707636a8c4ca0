"""Run a scenario, undisturbed or with a fault at one point, and compare how it ends."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.rig.cluster import Cluster
from tests.rig.faults import EventFault, WriteFault
from tests.rig.normalise import differences, end_state
from tests.rig.scenarios import SETTLE_SECONDS, Scenario
from tests.rig.waiting import eventually, quiet
from tests.rig.world import World, namespace_world, run_operator

QUIET_SECONDS = 2.5
"""Longer than the operator holds back progress, so that no late write is missed."""
Fault = WriteFault | EventFault
MakeFault = Callable[[World], Fault]


@dataclass(frozen=True)
class Outcome:
    """How an undisturbed run went: what the disturbed ones are held against."""

    state: dict[str, Any]
    writes: list[str]
    events: int


async def record_run(cluster: Cluster, folder: Path, scenario: Scenario) -> Outcome:
    """One run in which nothing goes wrong."""
    async with namespace_world(cluster, folder) as world:
        operator = await run_operator(world, scenario.workspace)
        assert operator.is_running
        before = await scenario.prepare(world.api)
        await quiet(world.write_count, QUIET_SECONDS, SETTLE_SECONDS)
        counter = EventFault(at=0, effect=_never)
        world.proxy.arm(counter)
        already = world.write_count()
        await _finish(world, scenario, before)
        writes = world.proxy.record.summary()[already:]
        return Outcome(await end_state(world.api), writes, counter.seen)


async def disturbed_run(
    cluster: Cluster, folder: Path, scenario: Scenario, make_fault: MakeFault, wanted: Outcome
) -> list[str]:
    """One run with a fault; a killed operator is started again.  What differs in the end."""
    async with namespace_world(cluster, folder) as world:
        operator = await run_operator(world, scenario.workspace)
        before = await scenario.prepare(world.api)
        await quiet(world.write_count, QUIET_SECONDS, SETTLE_SECONDS)
        fault = make_fault(world)
        world.proxy.arm(fault)
        supervisor = asyncio.create_task(_restart_when_dead(world))
        try:
            await _finish(world, scenario, before)
        finally:
            supervisor.cancel()
            await asyncio.gather(supervisor, return_exceptions=True)
        assert operator.is_running, operator.tail()
        found = await end_state(world.api)
        missed = [] if fault.struck else ["the fault never struck"]
        return missed + differences(wanted.state, found)


async def _finish(world: World, scenario: Scenario, before: dict[str, Any]) -> None:
    await scenario.trigger(world.api, before)
    await eventually(
        lambda: scenario.is_done(world.api, before),
        SETTLE_SECONDS,
        lambda: f"{scenario.name}; {world.proxy.record.summary()}; {world.operator.tail(15)}",
    )
    await quiet(world.write_count, QUIET_SECONDS, SETTLE_SECONDS)


async def _restart_when_dead(world: World) -> None:
    """What the Deployment would do."""
    while True:
        await world.operator.died(deadline_seconds=None)
        await world.operator.start()


async def _never() -> None:
    return None


async def in_parallel(runs: dict[str, Callable[[], Any]], at_once: int) -> dict[str, list[str]]:
    """Run them all, a few at a time; the complaints of each that has any."""
    gate = asyncio.Semaphore(at_once)
    complaints: dict[str, list[str]] = {}

    async def one(name: str, run: Callable[[], Any]) -> None:
        async with gate:
            try:
                found = await run()
            except AssertionError as error:
                found = [str(error)]
            if found:
                complaints[name] = found

    async with asyncio.TaskGroup() as group:
        for name, run in runs.items():
            group.create_task(one(name, run))
    return complaints
