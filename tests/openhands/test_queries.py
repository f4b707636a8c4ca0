"""What runs, and how it does: C9, C10, C11."""

import asyncio
import time

import pytest
from openhands.runtime.runtime_status import RuntimeStatus
from openhands.storage.data_models.conversation_status import ConversationStatus

from tests.openhands.rig.asking import info_of, run, wait_status
from tests.openhands.rig.kubelet import UNSCHEDULABLE, Kubelet, waiting
from tests.openhands.rig.misbehaviour import nothing, say, say_after
from tests.openhands.rig.outer import Outer, Servers, some_settings
from tests.openhands.test_start import conversations_of, pods_of
from tests.rig.api import Api, Manifest
from tests.rig.manifests import a_conversation
from tests.rig.waiting import eventually

STARTING, RUNNING = ConversationStatus.STARTING, ConversationStatus.RUNNING
ERROR, ARCHIVED = ConversationStatus.ERROR, ConversationStatus.ARCHIVED


async def test_c09_by_user_and_by_sid(outer: Outer, kubelet: Kubelet, test_id: str) -> None:
    a, b, c = (f"{test_id}-{letter}" for letter in "abc")
    kubelet.hold(c)
    await asyncio.gather(run(outer, a, "ada"), run(outer, b, "bob"), outer.start(c, "ada"))
    loops = outer.manager.get_running_agent_loops
    assert await loops() == {a, b, c}
    assert await loops(None, None) == {a, b, c}
    assert await loops("ada") == {a, c}
    assert await loops("nobody") == set()
    assert await loops(filter_to_sids={a, b, "unknown"}) == {a, b}
    assert await loops("ada", {a, b}) == {a}
    assert await loops(filter_to_sids=set()) == set()
    assert await loops("ada", set()) == set()
    assert await outer.manager.is_agent_loop_running(a)
    assert not await outer.manager.is_agent_loop_running("unknown")


async def test_c09_only_this_installations(
    servers: Servers, outer: Outer, api: Api, test_id: str
) -> None:
    await run(outer, f"{test_id}-a", "ada")
    stranger = a_conversation(f"{test_id}-kubectl", user="ada", sessionID=f"{test_id}-c")
    await api.create("conversations", stranger)
    async with servers.open(installation=f"{test_id}-other") as other:
        await run(other, f"{test_id}-b", "ada")
        assert await other.manager.get_running_agent_loops("ada") == {f"{test_id}-b"}
        assert await outer.manager.get_running_agent_loops("ada") == {f"{test_id}-a"}
        assert not await other.manager.is_agent_loop_running(f"{test_id}-a")
        await other.manager.close_session(f"{test_id}-a")
    assert await outer.manager.get_running_agent_loops("ada") == {f"{test_id}-a"}


async def test_c09_what_ended_does_not_run(outer: Outer, api: Api, test_id: str) -> None:
    await run(outer, f"{test_id}-deleted")
    await run(outer, f"{test_id}-paused")
    deleted = (await conversations_of(api, f"{test_id}-deleted"))[0]["metadata"]["name"]
    paused = (await conversations_of(api, f"{test_id}-paused"))[0]["metadata"]["name"]
    await api.delete("conversations", deleted)
    await api.patch("conversations", paused, {"spec": {"mode": "Paused"}})

    async def none_runs() -> bool:
        return await outer.manager.get_running_agent_loops() == set()

    await eventually(none_runs, 10)


async def test_c10_by_user_and_by_sid(outer: Outer, test_id: str) -> None:
    a, b = f"{test_id}-a", f"{test_id}-b"
    await asyncio.gather(run(outer, a, "ada"), run(outer, b, "bob"))

    async def listed(**filters: object) -> set[str]:
        found = await outer.manager.get_agent_loop_info(**filters)  # type: ignore[arg-type]
        return {info.conversation_id for info in found}

    assert await listed() == {a, b}
    assert await listed(user_id="ada") == {a}
    assert await listed(user_id="ada", filter_to_sids={b}) == set()
    assert await listed(filter_to_sids={a, "unknown"}) == {a}
    assert await listed(filter_to_sids=set()) == set()
    assert await outer.manager.get_agent_loop_info(filter_to_sids=set()) == []


async def test_c10_no_pod_can_hold_up_an_answer(
    outer: Outer, kubelet: Kubelet, test_id: str
) -> None:
    slow, dead, mute = (f"{test_id}-{letter}" for letter in "abc")
    await asyncio.gather(*(run(outer, sid) for sid in (slow, dead, mute)))
    for method in ("GET", "POST"):
        kubelet.nested(slow).instead[method, ""] = say_after(60, say(200, None))
        kubelet.nested(mute).instead[method, ""] = nothing
    await kubelet.unplug(dead)
    began = time.monotonic()
    for _ in range(100):
        assert len(await outer.manager.get_agent_loop_info()) == 3
        assert len(await outer.manager.get_running_agent_loops()) == 3
    assert time.monotonic() - began < 1


async def test_c10_a_query_asks_no_pod(outer: Outer, kubelet: Kubelet, test_id: str) -> None:
    await run(outer, test_id)
    nested = kubelet.nested(test_id)

    def of_status() -> int:
        return len([c for c in nested.calls if c.path.endswith(test_id)])

    before = of_status()
    for _ in range(1000):
        await info_of(outer, test_id)
    assert of_status() == before


async def test_c11_starting_then_running(outer: Outer, kubelet: Kubelet, test_id: str) -> None:
    kubelet.hold(test_id)
    kubelet.nested(test_id).seconds_starting = 3
    await outer.start(test_id)
    pending = await info_of(outer, test_id)
    assert pending.status == STARTING
    await kubelet.release(test_id)
    nested = kubelet.nested(test_id)
    await eventually(lambda: nested.status == "STARTING", 30)
    assert (await info_of(outer, test_id)).status == STARTING
    running = await wait_status(outer, test_id, RUNNING)
    assert nested.status == "RUNNING"
    assert running.runtime_status == RuntimeStatus.READY
    assert running.url and running.session_api_key


BROKEN: dict[str, Manifest] = {
    "crash": waiting("CrashLoopBackOff"),
    "image": waiting("ImagePullBackOff"),
    "unschedulable": UNSCHEDULABLE,
}


@pytest.mark.parametrize("what", BROKEN)
async def test_c11_what_cannot_run_is_an_error(
    outer: Outer, kubelet: Kubelet, test_id: str, what: str
) -> None:
    kubelet.hold(test_id, BROKEN[what])
    await outer.start(test_id)
    info = await wait_status(outer, test_id, ERROR)
    assert (info.url, info.session_api_key) == (None, None)
    assert info.runtime_status == RuntimeStatus.ERROR
    assert not await outer.manager.is_agent_loop_running(test_id)
    await kubelet.release(test_id)
    await wait_status(outer, test_id, RUNNING)


async def test_c11_settings_without_an_api_key_are_an_error(
    outer: Outer, kubelet: Kubelet, test_id: str
) -> None:
    await outer.start(test_id, settings=some_settings(llm_api_key=None))
    info = await wait_status(outer, test_id, ERROR)
    assert (info.url, info.session_api_key) == (None, None)
    await outer.start(test_id)
    await wait_status(outer, test_id, RUNNING)


async def test_c11_a_paused_one_is_not_listed(
    outer: Outer, api: Api, kubelet: Kubelet, test_id: str
) -> None:
    await run(outer, test_id)
    await outer.manager.close_session(test_id)
    assert await info_of(outer, test_id) is None
    assert await pods_of(api, test_id) == []


async def test_c11_one_whose_volume_is_gone_is_archived(
    outer: Outer, api: Api, kubelet: Kubelet, test_id: str
) -> None:
    await run(outer, test_id)
    await outer.manager.close_session(test_id)
    conversation = (await conversations_of(api, test_id))[0]
    claim = conversation["status"]["workspace"]
    await api.delete("persistentvolumeclaims", claim)

    async def gone() -> bool:
        return await api.get("persistentvolumeclaims", claim) is None

    await eventually(gone, 20, "the claim is gone")
    kubelet.hold(test_id)
    await outer.start(test_id)
    info = await wait_status(outer, test_id, ARCHIVED)
    assert (info.url, info.session_api_key) == (None, None)
    await kubelet.release(test_id)
    await wait_status(outer, test_id, RUNNING)
