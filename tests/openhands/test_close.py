"""Closing conversations: C12."""

import asyncio
import time

from openhands.events.event_store import EventStore

from tests.openhands.rig.asking import info_of, run
from tests.openhands.rig.kubelet import Kubelet
from tests.openhands.rig.misbehaviour import HTML, Answer, half_a_body, nothing, say, say_after
from tests.openhands.rig.outer import Outer, Servers
from tests.openhands.test_start import conversations_of, pods_of
from tests.rig.api import Api
from tests.rig.waiting import eventually

BOUND_SECONDS = 50.0


async def assert_closed(outer: Outer, api: Api, sid: str) -> None:
    assert not await outer.manager.is_agent_loop_running(sid)
    assert await info_of(outer, sid) is None

    async def no_pod() -> bool:
        return await pods_of(api, sid) == []

    await eventually(no_pod, 35, "the pod is gone")


async def test_c12_a_close_stops_the_agent_once_and_removes_the_pod(
    outer: Outer, api: Api, kubelet: Kubelet, test_id: str
) -> None:
    await run(outer, test_id)
    await outer.manager.close_session(test_id)
    await assert_closed(outer, api, test_id)
    assert len(kubelet.nested(test_id).called("POST", f"{test_id}/stop")) == 1
    conversation = (await conversations_of(api, test_id))[0]
    assert conversation["spec"]["mode"] == "Paused"
    assert await api.get("persistentvolumeclaims", conversation["status"]["workspace"])


async def test_c12_closing_twice_and_the_unknown_is_no_error(
    outer: Outer, kubelet: Kubelet, test_id: str
) -> None:
    await outer.manager.close_session("unknown")
    await run(outer, test_id)
    await asyncio.gather(*(outer.manager.close_session(test_id) for _ in range(3)))
    await outer.manager.close_session(test_id)
    assert len(kubelet.nested(test_id).called("POST", f"{test_id}/stop")) == 1


async def test_c12_the_history_is_saved_before_the_pod_goes(
    outer: Outer, kubelet: Kubelet, test_id: str
) -> None:
    await run(outer, test_id)
    nested = kubelet.nested(test_id)

    async def last_words(request: object) -> object:
        for _ in range(150):
            nested.add_event()
        return await nested._stop(request)  # type: ignore[arg-type]

    nested.instead["POST", "/stop"] = last_words  # type: ignore[assignment]
    await outer.manager.close_session(test_id)
    store = EventStore(test_id, outer.file_store, None)
    found = [event.id for event in await asyncio.to_thread(list, store.search_events())]
    assert found == [event["id"] for event in nested.volume.events]
    assert len(found) > 150


MISBEHAVIOUR: dict[str, Answer] = {
    "an error": say(500, {"error": "words"}),
    "HTML": say(502, HTML),
    "nothing": nothing,
    "half a body": half_a_body,
    "a minute": say_after(60, say(200, {})),
}


async def test_c12_the_pod_goes_whatever_it_answers(
    outer: Outer, api: Api, kubelet: Kubelet, test_id: str
) -> None:
    sids = {f"{test_id}-{number}": what for number, what in enumerate(MISBEHAVIOUR)}
    deaf = f"{test_id}-deaf"
    # A user each, because more than three of one user are too many.
    await asyncio.gather(*(run(outer, sid, sid) for sid in (*sids, deaf)))
    for sid, what in sids.items():
        for method in ("GET", "POST"):
            kubelet.nested(sid).instead[method, ""] = MISBEHAVIOUR[what]
    await kubelet.unplug(deaf)
    began = time.monotonic()
    await asyncio.gather(*(outer.manager.close_session(sid) for sid in (*sids, deaf)))
    assert time.monotonic() - began < BOUND_SECONDS
    for sid in (*sids, deaf):
        await assert_closed(outer, api, sid)


async def test_c12_one_that_is_starting_is_closed(
    outer: Outer, api: Api, kubelet: Kubelet, test_id: str
) -> None:
    kubelet.hold(test_id)
    await outer.start(test_id)
    await outer.manager.close_session(test_id)
    await assert_closed(outer, api, test_id)


async def test_c12_at_once_it_does_not_run(outer: Outer, kubelet: Kubelet, test_id: str) -> None:
    await run(outer, test_id)
    kubelet.nested(test_id).instead["POST", "/stop"] = say_after(10, say(200, {}))
    closing = asyncio.create_task(outer.manager.close_session(test_id))

    async def stopped() -> bool:
        return not await outer.manager.is_agent_loop_running(test_id)

    await eventually(stopped, 1)
    assert not closing.done()
    await closing


async def test_c12_the_policy_may_be_to_delete(
    servers: Servers, api: Api, kubelet: Kubelet, test_id: str
) -> None:
    async with servers.open(close_policy="Delete") as outer:
        await run(outer, test_id)
        await outer.manager.close_session(test_id)
        assert await info_of(outer, test_id) is None
        assert await conversations_of(api, test_id) == []


async def test_c12_a_pause_that_would_lose_files_is_refused_and_said(
    servers: Servers, api: Api, kubelet: Kubelet, test_id: str
) -> None:
    async with servers.open(template="precious") as outer:
        await run(outer, test_id)
        pod = kubelet.pod_of(test_id)
        await outer.manager.close_session(test_id)

        async def runs_on() -> bool:
            found = (await conversations_of(api, test_id))[0]
            return found["spec"].get("mode", "Running") == "Running"

        await eventually(runs_on, 10)
        assert kubelet.pod_of(test_id) == pod
