"""Before a pod goes: the agent is stopped, the rest of the history saved, the operator told."""

import asyncio
import time
from typing import Any

from conversations.openhands.v0.draining import Drainer
from tests.openhands.rig.mirroring import Declared, Store, add, mirroring, wait_ids
from tests.openhands.rig.misbehaviour import say
from tests.rig.waiting import eventually

SECONDS = 15.0


async def test_a_drain_stops_the_agent_saves_the_rest_and_says_so(
    declared: Declared, store: Store
) -> None:
    nested = await declared.run("s")
    add(nested, 3)
    async with mirroring(declared, store) as mirror:
        drainer = Drainer(declared, mirror)
        await drainer.start()
        await wait_ids(store, "s", 3)
        add(nested, 230)
        declared.pause("s")

        async def drained() -> bool:
            return declared.marks("s") == "pod-of-s"

        await eventually(drained, SECONDS, "the mark")
        assert store.ids("s") == list(range(233))
        assert len(nested.called("POST", "/stop")) == 1
        assert nested.status == "STOPPED"
        await drainer.drain(declared.watched["s"])
        assert len(nested.called("POST", "/stop")) == 1
        await drainer.stop()


async def test_many_who_drain_share_it(declared: Declared, store: Store) -> None:
    nested = await declared.run("s")
    add(nested, 150)
    async with mirroring(declared, store) as mirror:
        drainer = Drainer(declared, mirror)
        await drainer.start()
        paused = declared.pause("s")
        await asyncio.gather(*(drainer.drain(paused) for _ in range(10)))
        assert store.ids("s") == list(range(150))
        assert len(nested.called("POST", "/stop")) == 1
        await drainer.stop()


async def test_an_agent_that_will_not_stop_is_drained_all_the_same(
    declared: Declared, store: Store
) -> None:
    nested = await declared.run("s")
    add(nested, 5)
    nested.instead["POST", "/stop"] = say(500, {})
    async with mirroring(declared, store) as mirror:
        drainer = Drainer(declared, mirror)
        await drainer.start()
        await drainer.drain(declared.pause("s"))
        assert store.ids("s") == list(range(5))
        assert declared.marks("s") == "pod-of-s"
        await drainer.stop()


async def test_a_pod_that_hides_its_history_is_not_called_drained(
    declared: Declared, store: Store
) -> None:
    nested = await declared.run("s")
    add(nested, 5)
    nested.instead["GET", "/events"] = say(500, {})
    async with mirroring(declared, store) as mirror:
        drainer = Drainer(declared, mirror)
        await drainer.start()
        paused = declared.pause("s")
        draining = asyncio.create_task(drainer.drain(paused))
        await asyncio.sleep(1)
        assert nested.called("GET", "/events")
        assert declared.marks("s") is None
        nested.instead.clear()
        await draining
        assert declared.marks("s") == "pod-of-s"
        assert store.ids("s") == list(range(5))
        await drainer.stop()


async def test_a_drain_comes_back_whatever_the_pod_does(declared: Declared, store: Store) -> None:
    nested = await declared.run("s")
    add(nested, 5)
    nested.instead["POST", "/stop"] = nested.instead["GET", "/events"] = hang
    async with mirroring(declared, store) as mirror:
        drainer = Drainer(declared, mirror, seconds=3)
        await drainer.start()
        began = time.monotonic()
        await drainer.drain(declared.pause("s"))
        assert time.monotonic() - began < 4
        assert declared.marks("s") is None
        await drainer.stop()


async def test_an_agent_that_was_stopped_gets_another_pod_though_the_pause_is_taken_back(
    declared: Declared, store: Store
) -> None:
    nested = await declared.run("s")
    add(nested, 5)
    nested.instead["GET", "/events"] = say(500, {})
    async with mirroring(declared, store) as mirror:
        drainer = Drainer(declared, mirror)
        await drainer.start()
        running, paused = declared.watched["s"], declared.pause("s")

        async def stopped() -> bool:
            return nested.status == "STOPPED"

        await eventually(stopped, SECONDS, "the agent is stopped")
        declared.change("s", running)
        nested.instead.clear()
        await drainer.drain(paused)
        assert declared.marks("s") == "pod-of-s"
        assert store.ids("s") == list(range(5))
        await drainer.stop()


async def hang(request: Any) -> Any:
    await asyncio.sleep(60)


async def test_a_pause_that_may_be_refused_stops_no_agent(declared: Declared, store: Store) -> None:
    nested = await declared.run("s")
    async with mirroring(declared, store) as mirror:
        drainer = Drainer(declared, mirror)
        await drainer.start()
        old = declared.watched["s"]
        spec = {**old.spec, "mode": "Paused"}
        refused = {
            "type": "Paused",
            "status": "False",
            "reason": "PauseRefused",
            "observedGeneration": 2,
        }
        for conditions in ([], [refused]):
            metadata = type(old.metadata)("s", uid=old.metadata.uid, generation=2)
            status = {**old.status, "workspace": "emptyDir"}
            status["conditions"] = [*old.status["conditions"], *conditions]
            declared.change("s", type(old)(metadata, spec, status))
            await asyncio.sleep(1)
        assert nested.called("POST", "/stop") == []
        await drainer.stop()
