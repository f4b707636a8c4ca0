"""What a crash of the outer server, or the loss of a pod, must not take away."""

import json

import pytest

from tests.e2e.openhands.house import House
from tests.e2e.openhands.talk import Talk, please_run, say_hello
from tests.rig.api import Manifest
from tests.rig.outer import Outer
from tests.rig.waiting import eventually

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(900)]

ONCE = "Say this once."


async def test_an_outer_server_killed_while_starting(house: House, alone: Outer) -> None:
    talk = await say_hello(alone, f"{ONCE}\n{please_run('echo survived-$((40+2))')}")
    await eventually(lambda: _has_pod(house, talk), 60, "a pod")
    assert (await talk.info())["status"] == "STARTING"
    await alone.kill()
    await alone.ready()
    await talk.running()
    await talk.history_has("survived-42")
    assert await talk.said(ONCE) == 1
    await house.check_no_secret_is_seen(alone)
    await talk.delete()


async def test_an_evicted_pod_comes_back_with_files_and_history(house: House, pair: Outer) -> None:
    order = please_run("echo kept > kept.txt; echo first-$((40+2))")
    talk = await say_hello(pair, f"{ONCE}\n{order}", "ada")
    await talk.running()
    await talk.history_has("first-42")
    known = await talk.events()
    old = await _pod(house, talk)
    await _evict(house, old["metadata"]["name"])

    async def replaced() -> bool:
        pod = await _pod(house, talk)
        return bool(pod) and pod["metadata"]["uid"] != old["metadata"]["uid"]

    await eventually(replaced, 90, "another pod")
    await talk.running()
    assert "kept.txt" in await talk.list_files()
    assert (await talk.events())[: len(known)] == known
    await talk.say(please_run("cat kept.txt; echo next-$((40+3))"))
    await talk.history_has("next-43")
    assert await talk.said(ONCE) == 1
    await talk.delete()


async def _pod(house: House, talk: Talk) -> Manifest:
    conversation = await house.conversation(talk.sid)
    assert conversation is not None
    label = f"conversation-operator.io/conversation-uid={conversation['metadata']['uid']}"
    pods = await house.get("pods", "-l", label)
    assert len(pods) < 2
    return pods[0] if pods else {}


async def _has_pod(house: House, talk: Talk) -> bool:
    return await house.conversation(talk.sid) is not None and bool(await _pod(house, talk))


async def _evict(house: House, pod: str) -> None:
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod, "namespace": house.runtimes},
    }
    path = f"/api/v1/namespaces/{house.runtimes}/pods/{pod}/eviction"
    await house.run("create", "--raw", path, "-f", "-", input=json.dumps(eviction))
