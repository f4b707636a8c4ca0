"""Histories outlive pods and servers: the whole of it, with a real operator."""

from typing import Any

from openhands.events.event_store import EventStore

from conversations.api.labels import DRAINED_POD
from tests.openhands.rig.asking import run
from tests.openhands.rig.kubelet import Kubelet
from tests.openhands.rig.outer import Outer, Servers
from tests.openhands.test_start import conversations_of, pods_of
from tests.rig.api import Api
from tests.rig.waiting import eventually


def read(outer: Outer, sid: str, user: str | None = None) -> list[Any]:
    """What a reader of the outer server's /events sees; no two events have the same time."""
    return [event.timestamp for event in EventStore(sid, outer.file_store, user).search_events()]


async def wait_read(outer: Outer, sid: str, wanted: list[Any], user: str | None = None) -> None:
    async def so() -> bool:
        return read(outer, sid, user) == wanted

    await eventually(so, 20, lambda: f"{read(outer, sid, user)}")


def told_by(kubelet: Kubelet, sid: str) -> list[Any]:
    return [event["timestamp"] for event in kubelet.nested(sid).volume.events]


async def test_whoever_pauses_it_the_history_is_saved_and_the_pod_let_go_at_once(
    outer: Outer, api: Api, kubelet: Kubelet, test_id: str
) -> None:
    user = "ada@example.org"
    await run(outer, test_id, user)
    nested, pod = kubelet.nested(test_id), kubelet.pod_of(test_id)
    for _ in range(120):
        nested.add_event()
    name = (await conversations_of(api, test_id))[0]["metadata"]["name"]
    await api.patch("conversations", name, {"spec": {"mode": "Paused"}})

    async def let_go() -> bool:
        return not await pods_of(api, test_id)

    await eventually(let_go, 15, "the operator does not wait for half a minute")
    saved = told_by(kubelet, test_id)
    assert read(outer, test_id, user) == saved
    assert len(saved) >= 120
    conversation = (await conversations_of(api, test_id))[0]
    assert conversation["metadata"]["annotations"][DRAINED_POD] == pod
    # The same volume again: nothing twice.
    await run(outer, test_id, user)
    nested.add_event()
    await wait_read(outer, test_id, told_by(kubelet, test_id), user)


async def test_what_happened_while_no_server_was_there_is_caught_up(
    servers: Servers, kubelet: Kubelet, test_id: str
) -> None:
    async with servers.open() as outer:
        await run(outer, test_id)
        await wait_read(outer, test_id, told_by(kubelet, test_id))
    for _ in range(30):
        kubelet.nested(test_id).add_event()
    async with servers.open() as outer:
        await wait_read(outer, test_id, told_by(kubelet, test_id))


async def test_the_next_pod_of_one_without_a_volume_overwrites_nothing(
    servers: Servers, api: Api, kubelet: Kubelet, test_id: str
) -> None:
    async with servers.open(template="scratch") as outer:
        await run(outer, test_id)
        kubelet.nested(test_id).add_event()
        before = told_by(kubelet, test_id)
        await wait_read(outer, test_id, before)
        await outer.manager.close_session(test_id)
        await run(outer, test_id)
        kubelet.nested(test_id).add_event()
        after = told_by(kubelet, test_id)
        assert not set(before) & set(after)
        await wait_read(outer, test_id, before + after)
