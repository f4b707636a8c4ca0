"""How many conversations a user may run at once: C15."""

import time
from datetime import UTC, datetime, timedelta

from tests.openhands.rig.asking import run
from tests.openhands.rig.kubelet import Kubelet
from tests.openhands.rig.misbehaviour import say, say_after
from tests.openhands.rig.outer import Outer, Servers
from tests.openhands.test_start import conversations_of
from tests.rig.api import Api
from tests.rig.manifests import a_conversation
from tests.rig.waiting import eventually

NOW = datetime(2026, 11, 1, tzinfo=UTC)
LIMIT_EVENT = "AGENT_ERROR$TOO_MANY_CONVERSATIONS"


async def with_age(outer: Outer, sid: str, user: str, hours: int) -> None:
    await outer.save_metadata(sid, user, last_updated_at=NOW - timedelta(hours=hours))
    await run(outer, sid, user)
    # What the mirror learns from events is newer than what a test says.
    await outer.save_metadata(sid, user, last_updated_at=NOW - timedelta(hours=hours))


def told(outer: Outer) -> list[str]:
    """The rooms that were told of the limit."""
    return [
        room
        for room, event, data in outer.emitted.events
        if event == "oh_event"
        and data["id"] == LIMIT_EVENT
        and data["type"] == "error"
        and data["status_update"] is True
        and data["message"]
    ]


async def test_c15_one_too_many_closes_the_oldest_and_says_so(
    outer: Outer, api: Api, kubelet: Kubelet, test_id: str
) -> None:
    a, b, c, d, bobs = (f"{test_id}-{letter}" for letter in "abcde")
    await with_age(outer, a, "ada", 2)
    await with_age(outer, b, "ada", 3)
    await with_age(outer, c, "ada", 1)
    await with_age(outer, bobs, "bob", 9)
    kubelet.nested(b).instead["POST", "/stop"] = say_after(5, say(200, {}))
    began = time.monotonic()
    await outer.start(d, "ada")
    assert time.monotonic() - began < 1
    assert await outer.manager.get_running_agent_loops("ada") == {a, c, d}
    assert await outer.manager.get_running_agent_loops("bob") == {bobs}
    assert told(outer) == [f"room:{b}"]

    async def paused() -> bool:
        return (await conversations_of(api, b))[0]["spec"]["mode"] == "Paused"

    await eventually(paused, 5)


async def test_c15_a_start_of_one_that_runs_closes_nothing(outer: Outer, test_id: str) -> None:
    sids = [f"{test_id}-{letter}" for letter in "abc"]
    for sid in sids:
        await outer.save_metadata(sid, "ada")
        await run(outer, sid, "ada")
    await outer.start(sids[0], "ada")
    assert await outer.manager.get_running_agent_loops("ada") == set(sids)
    assert told(outer) == []


async def test_c15_conversations_of_others_are_not_counted(
    servers: Servers, api: Api, test_id: str
) -> None:
    for number in range(3):
        name = f"{test_id}-kubectl-{number}"
        await api.create("conversations", a_conversation(name, user="ada"))
    async with servers.open() as outer:
        await outer.save_metadata(test_id, "ada")
        await run(outer, test_id, "ada")
        assert told(outer) == []
    modes = {
        found["spec"].get("mode", "Running")
        for found in await api.list("conversations")
        if found["metadata"]["name"].startswith(f"{test_id}-kubectl")
    }
    assert modes == {"Running"}


async def test_c15_the_limit_is_the_configurations(servers: Servers, test_id: str) -> None:
    async with servers.open(config={"max_concurrent_conversations": 1}) as outer:
        a, b = f"{test_id}-a", f"{test_id}-b"
        await with_age(outer, a, "ada", 2)
        await outer.start(b, "ada")
        assert await outer.manager.get_running_agent_loops("ada") == {b}
        assert told(outer) == [f"room:{a}"]
