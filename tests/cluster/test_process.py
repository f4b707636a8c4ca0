"""The operator as a process: its probes, how it stops, and who takes over."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.rig import faults
from tests.rig.access import write_kubeconfig
from tests.rig.api import Api, Manifest
from tests.rig.cluster import Cluster
from tests.rig.doorway import Doorway, open_doorway
from tests.rig.faults import WriteFault
from tests.rig.manifests import a_conversation, a_template
from tests.rig.observe import wait_ready
from tests.rig.operator import Operator
from tests.rig.waiting import eventually
from tests.rig.world import World, open_world, run_operator, wait_accepted

pytestmark = pytest.mark.timeout(180)

LEASE = "conversation-operator"
DRAIN_SECONDS = 10.0
LEASE_SECONDS = 15.0
LOOK_SECONDS = 5.0
"""A candidate looks at the Lease at least every 2.5 s, on a machine that is busy."""


@pytest.fixture
async def world(cluster: Cluster, api: Api, tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(cluster, api, tmp_path) as world:
        yield world


@pytest.fixture
async def doorway(world: World) -> AsyncIterator[Doorway]:
    """Between the first operator, which runs and has a Ready conversation, and its proxy."""
    await world.api.create("runtimetemplates", a_template())
    await world.add_operator()
    async with open_doorway(world.proxy.url) as doorway:
        server = {"server": doorway.url}
        path = world.folder / "doorway.kubeconfig"
        write_kubeconfig(path, server, world.token, world.api.namespace)
        world.operators[0] = Operator(path, world.api.namespace, world.folder, lease=LEASE)
        await world.operator.start()
        await wait_accepted(world.api, "default")
        await world.api.create("conversations", a_conversation())
        await wait_ready(world.api, "talk")
        yield doorway
        await world.operator.stop()


async def probes(operator: Operator) -> tuple[int, int]:
    return await operator.probe("/livez"), await operator.probe("/readyz")


async def test_an_api_server_out_of_reach_fails_readiness_only(
    world: World, doorway: Doorway
) -> None:
    operator, seen = world.operator, set()

    async def see(live: int, ready: int) -> bool:
        found = await probes(operator)
        seen.add(found[0])
        return found == (live, ready)

    assert await see(200, 200)
    pid = operator.pid
    await doorway.shut()
    await eventually(lambda: see(200, 503), 30, "/readyz 503")
    await world.api.create("conversations", a_conversation("later"))
    await asyncio.sleep(5)
    assert await see(200, 503)
    await doorway.open()
    await eventually(lambda: see(200, 200), 30, "/readyz 200")
    await wait_ready(world.api, "later")
    assert seen == {200}
    assert operator.is_running and operator.pid == pid


async def test_a_cut_connection_is_no_outage(world: World, doorway: Doorway) -> None:
    await doorway.shut()
    await doorway.open()
    until = time.monotonic() + 5
    while time.monotonic() < until:
        assert await probes(world.operator) == (200, 200)
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("trouble", ["refused", "silent"])
async def test_it_stops_in_time_without_an_api_server(
    world: World, doorway: Doorway, trouble: str
) -> None:
    if trouble == "refused":
        await doorway.shut()
    else:
        doorway.stall()
    began = time.monotonic()
    assert await world.operator.terminate() == 0
    assert time.monotonic() - began < DRAIN_SECONDS + 1


async def test_it_stops_in_time_before_it_has_started(world: World, doorway: Doorway) -> None:
    operator = world.operator
    await operator.stop()
    await doorway.shut()
    starting = asyncio.create_task(operator.start())
    await eventually(lambda: _answers(operator), 30, "/livez 200")
    assert await probes(operator) == (200, 503)
    starting.cancel()
    began = time.monotonic()
    await operator.terminate()
    assert time.monotonic() - began < DRAIN_SECONDS + 1


async def _answers(operator: Operator) -> bool:
    return await operator.probe("/livez") == 200


def slow(seconds: float) -> faults.Effect:
    async def effect() -> None:
        await asyncio.sleep(seconds)

    return effect


async def holder(api: Api) -> str:
    lease = await api.get("leases", LEASE)
    return str(lease["spec"].get("holderIdentity", "")) if lease else ""


async def test_it_finishes_what_is_under_way_and_gives_the_lease_back(world: World) -> None:
    api = world.api
    await api.create("runtimetemplates", a_template())
    operator = await world.add_operator(lease=LEASE)
    await operator.start()
    await wait_accepted(api, "default")
    assert await holder(api) == f"operator-{operator.port}"
    fault = WriteFault(2, "before", slow(3))
    world.proxy.arm(fault)
    await api.create("conversations", a_conversation())
    await eventually(lambda: fault.struck, 20, "the pod's POST is under way")
    began = time.monotonic()
    assert await operator.terminate() == 0
    assert 2 < time.monotonic() - began < DRAIN_SECONDS
    assert len(await api.list("pods")) == 1, "the POST was not given up"
    assert await holder(api) == ""


async def test_a_write_that_hangs_does_not_hold_it(world: World) -> None:
    await run_operator(world)
    fault = WriteFault(1, "before", faults.hang)
    world.proxy.arm(fault)
    await world.api.create("conversations", a_conversation())
    await eventually(lambda: fault.struck, 20, "the Secret's POST hangs")
    began = time.monotonic()
    assert await world.operator.terminate() == 0
    assert time.monotonic() - began < DRAIN_SECONDS + 1


async def two_replicas(world: World) -> tuple[Operator, Operator]:
    await world.api.create("runtimetemplates", a_template())
    leader = await world.add_operator(lease=LEASE)
    await leader.start()
    await wait_accepted(world.api, "default")
    standby = await world.add_operator(lease=LEASE)
    await standby.start()
    return leader, standby


async def test_a_standby_is_ready_and_does_nothing(world: World) -> None:
    leader, standby = await two_replicas(world)
    await world.api.create("conversations", a_conversation())
    await wait_ready(world.api, "talk")
    assert await probes(standby) == (200, 200)
    asked = [entry.call for entry in world.proxies[1].record.entries]
    assert [call for call in asked if call.is_write] == []
    assert "conversation_operator_leader 1.0" in await leader.metrics()
    assert "conversation_operator_leader 0.0" in await standby.metrics()


@pytest.mark.parametrize(
    ("how", "within"), [("killed", LEASE_SECONDS + LOOK_SECONDS), ("stopped", LOOK_SECONDS)]
)
async def test_the_other_takes_over(world: World, how: str, within: float) -> None:
    leader, standby = await two_replicas(world)
    if how == "killed":
        leader.kill()
        await leader.died()
    else:
        assert await leader.terminate() == 0
    began = time.monotonic()
    await world.api.create("conversations", a_conversation())
    await wait_ready(world.api, "talk", within + 5)
    assert time.monotonic() - began < within
    assert await holder(world.api) == f"operator-{standby.port}"


async def test_a_leader_that_was_cut_off_comes_back_as_standby(
    world: World, doorway: Doorway
) -> None:
    leader, standby = world.operator, await world.add_operator(lease=LEASE)
    await standby.start()
    await doorway.shut()

    async def is_succeeded() -> bool:
        return await holder(world.api) == f"operator-{standby.port}"

    await eventually(is_succeeded, LEASE_SECONDS + LOOK_SECONDS, "a successor")
    assert "conversation_operator_leader 0.0" in await leader.metrics()
    await doorway.open()
    await eventually(leader.is_ready, 30, "/readyz 200")
    await asyncio.sleep(LOOK_SECONDS)
    assert await is_succeeded()
    assert "conversation_operator_leader 0.0" in await leader.metrics()
    await world.api.create("conversations", a_conversation("later"))
    await wait_ready(world.api, "later")


async def test_metrics_name_nobody(world: World) -> None:
    await run_operator(world)
    made: Manifest = a_conversation("secretive", user="ada@example.org", sessionID="session/Ü 1")
    await world.api.create("conversations", made)
    found = await wait_ready(world.api, "secretive")
    text = await world.operator.metrics()
    for told in (
        "conversation_operator_reconciles_total",
        "conversation_operator_reconcile_seconds_bucket",
        'conversation_operator_writes_total{result="ok",write="CreatePod"} 1.0',
        "conversation_operator_startup_seconds_count 1.0",
        "conversation_operator_queue_depth 0.0",
        'conversation_operator_conversations{phase="Running"} 1.0',
        "conversation_operator_synced_seconds",
    ):
        assert told in text
    private = (
        *("secretive", "ada@", "session/", world.api.namespace),
        *(found["metadata"]["uid"], found["status"]["sessionKeyHash"]),
    )
    assert [word for word in private if word in text] == []


async def test_expired_watches_are_survived(world: World) -> None:
    operator = await run_operator(world)
    world.proxy.expire_watches()
    await world.api.create("conversations", a_conversation())
    await wait_ready(world.api, "talk")
    await asyncio.sleep(3)
    assert await probes(operator) == (200, 200)
    await world.api.create("runtimetemplates", a_template("new"))
    await wait_accepted(world.api, "new")


async def test_a_watch_that_fails_in_mid_stream_ends_the_process_not_the_work(world: World) -> None:
    """kopf calls any error but 410 fatal, for its own watch of templates; kubelet starts us again."""
    operator = await run_operator(world)
    world.proxy.expire_watches(code=500)
    await operator.died()
    await operator.start()
    await world.api.create("conversations", a_conversation())
    await wait_ready(world.api, "talk")
