"""A browser talks to the runtime itself, over Socket.IO, at the url that the outer server names."""

import json
from typing import Any

import pytest

from tests.e2e.openhands.house import LLM, PYTHON, House
from tests.e2e.openhands.talk import Talk, please_run, say_hello
from tests.rig.in_cluster import FILES
from tests.rig.outer import Outer

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(900)]


async def test_full_replay_and_a_turn(house: House, pair: Outer) -> None:
    talk = await say_hello(pair, please_run("echo before-$((40+2))"), "ada")
    info = await talk.running()
    await talk.history_has("before-42")
    order = {
        "url": info["url"],
        "sid": talk.sid,
        "key": info["session_api_key"],
        "say": please_run("echo during-$((40+2))"),
        "until": "during-42",
    }
    for key in ("wrong", None):
        assert await use_socket(house, {**order, "key": key}) == {"refused": True}
    used = await use_socket(house, order)
    replayed = {event["id"] for event in used["replayed"]}
    assert replayed >= {event["id"] for event in await _shown_before(talk)}
    # What was said there is mirrored here.
    await talk.history_has("during-42")
    await house.check_no_secret_is_seen(pair)
    await talk.delete()


async def use_socket(house: House, order: dict[str, Any]) -> Any:
    """Be that user; from a pod, as this machine's Python has no Socket.IO."""
    command = (PYTHON, f"{FILES}/socket_user.py")
    arguments = ("exec", "-i", LLM, "-n", house.servers, "--", *command)
    return json.loads(await house.run(*arguments, input=json.dumps(order)))


async def _shown_before(talk: Talk) -> list[dict[str, Any]]:
    """The history up to the first answer, without the events that OpenHands never replays."""
    events = await talk.events()
    last = next(event["id"] for event in events if "before-42" in str(event.get("content")))
    hidden = ("null", "recall")
    return [
        event
        for event in events
        if event["id"] <= last
        and event.get("action") not in hidden
        and event.get("observation") not in ("null", "agent_state_changed")
    ]
