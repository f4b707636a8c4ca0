"""Hostile and broken input: clear errors, nothing lost, no key in any log."""

import asyncio
import random
import string
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
from openhands.events.action import MessageAction
from openhands.storage.data_models.conversation_status import ConversationStatus

from conversations.api.labels import INSTALLATION
from conversations.core.inputs import InputKind, build_input, document_data, input_hash
from conversations.openhands.v0 import KubernetesConversationManager
from tests.openhands.rig.asking import info_of, run, wait_status
from tests.openhands.rig.kubelet import Kubelet
from tests.openhands.rig.misbehaviour import HTML, Answer, half_a_body, nothing, say
from tests.openhands.rig.nested import Nested
from tests.openhands.rig.outer import SECRET, Outer, some_settings
from tests.openhands.test_start import conversations_of
from tests.rig.api import Api
from tests.rig.manifests import a_conversation
from tests.rig.observe import condition, wait_reason
from tests.rig.waiting import eventually

RUNNING = ConversationStatus.RUNNING

HOSTILE = {
    "too long": "a" * 101,
    "parent": "../../etc",
    "dots": "a..b",
    "slash": "a/b",
    "backslash": "a\\b",
    "newline": "a\nb",
    "null": "a\0b",
    "surrogate": "a\ud800",
    "empty": "",
}

Call = Callable[[KubernetesConversationManager, str], Awaitable[Any]]
CALLS: dict[str, Call] = {
    "start": lambda m, sid: m.maybe_start_agent_loop(sid, some_settings(), None),
    "close": lambda m, sid: m.close_session(sid),
    "send": lambda m, sid: m.send_event_to_conversation(sid, {}),
    "list": lambda m, sid: m.list_files(sid),
    "select": lambda m, sid: m.select_file(sid, "a"),
    "upload": lambda m, sid: m.upload_files(sid, [("a", b"")]),
    "running": lambda m, sid: m.is_agent_loop_running(sid),
}


async def test_a_hostile_sid_is_a_value_error(outer: Outer, api: Api) -> None:
    before = await api.list("conversations")
    for word, sid in HOSTILE.items():
        for call in CALLS.values():
            with pytest.raises(ValueError, match=r".") as caught:
                await call(outer.manager, sid)
            assert not isinstance(caught.value, UnicodeError), word
    assert len(await api.list("conversations")) <= len(before)


async def test_a_hostile_sid_in_a_filter_matches_nothing(outer: Outer) -> None:
    sids = set(HOSTILE.values())
    assert await outer.manager.get_running_agent_loops(filter_to_sids=sids) == set()
    assert await outer.manager.get_agent_loop_info(filter_to_sids=sids) == []


async def test_odd_sids_work_as_any_other(outer: Outer, kubelet: Kubelet, test_id: str) -> None:
    upper = test_id.upper() + "ABCdef"
    sids = [
        test_id + "x" * (100 - len(test_id)),
        f"{test_id} ünï 日本 %2e%2e",
        upper,
        upper.lower(),
    ]
    # A user each, because more than three of one user are too many.
    infos = await asyncio.gather(*(run(outer, sid, f"user of {sid}") for sid in sids))
    assert await outer.manager.get_running_agent_loops() == set(sids)
    assert len({info.session_api_key for info in infos}) == len(sids)
    for sid in sids:
        kubelet.nested(sid).volume.files[f"{sid}.txt"] = b""
        assert await outer.manager.list_files(sid) == [f"{sid}.txt"]
        await outer.manager.send_event_to_conversation(sid, {"action": "message"})
    await asyncio.gather(*(outer.manager.close_session(sid) for sid in sids))
    assert await outer.manager.get_agent_loop_info() == []


BROKEN: dict[str, Answer] = {
    "an error": say(500, {"error": "words"}),
    "HTML": say(200, HTML),
    "a gateway's HTML": say(502, HTML),
    "nothing": nothing,
    "half a body": half_a_body,
    "another type": say(200, ["not", "what", "was", "asked"]),
}


async def test_a_server_that_answers_badly_is_asked_again(
    outer: Outer, kubelet: Kubelet, test_id: str
) -> None:
    sids = {f"{test_id}-{number}": what for number, what in enumerate(BROKEN)}
    message = MessageAction(content="hello")
    for sid, what in sids.items():
        for method in ("GET", "POST"):
            kubelet.nested(sid).instead[method, ""] = BROKEN[what]
    starts = (outer.start(sid, f"user of {sid}", initial_user_msg=message) for sid in sids)
    await asyncio.gather(*starts)
    for sid in sids:
        nested = kubelet.nested(sid)
        await eventually(partial(_asked_twice, nested), 30, f"{sids[sid]}: asked twice")
        assert (await info_of(outer, sid)).status == ConversationStatus.STARTING
        nested.instead.clear()
    for sid in sids:
        await wait_status(outer, sid, RUNNING, 60)
        assert kubelet.nested(sid).user_messages == ["hello"], sids[sid]


def _asked_twice(nested: Nested) -> bool:
    return len(nested.calls) >= 2


async def test_a_replay_that_no_secret_can_hold_is_refused_by_name(
    outer: Outer, api: Api, test_id: str
) -> None:
    letters = random.Random(1).choices(string.printable, k=2 * 2**20)
    with pytest.raises(ValueError, match="921600"):
        await outer.start(test_id, replay_json="".join(letters))
    assert await conversations_of(api, test_id) == []
    named = [s["metadata"]["name"] for s in await api.list("secrets")]
    assert not [name for name in named if test_id in name]
    assert await info_of(outer, test_id) is None


async def test_a_big_replay_that_packs_well_is_taken(
    outer: Outer, kubelet: Kubelet, test_id: str
) -> None:
    replay = "[" + ", ".join(['{"id": 1, "action": "message"}'] * 50_000) + "]"
    nested = kubelet.nested(test_id)

    async def replayed(request: Any) -> Any:
        nested.say("from the replay")
        return await nested._create(request)

    nested.instead["POST", "/api/conversations"] = replayed
    await run(outer, test_id, replay_json=replay)
    body = nested.called("POST", "/api/conversations")[0].json
    assert body["replay_json"] == replay


async def test_a_secret_named_twice_is_refused_by_name(
    outer: Outer, api: Api, kubelet: Kubelet, test_id: str
) -> None:
    secret = {"name": "TWICE", "description": "", "value": SECRET}
    document = {
        "settings": {"llm_model": "openai/gpt-4o", "llm_api_key": "key"},
        "provider_tokens": {},
        "secrets": [secret, secret],
    }
    data = document_data(document)
    await api.create("secrets", build_input(test_id, InputKind.SETTINGS, data))
    inputs = {"settings": input_hash(data)}
    manifest = a_conversation(test_id, inputs=inputs)
    manifest["metadata"]["labels"] = {INSTALLATION: outer.installation}
    await api.create("conversations", manifest)
    found = await wait_reason(api, test_id, "ConfigurationRejected", 30)
    words = condition(found, "Ready")["message"]
    assert "secret" in words
    assert SECRET not in words
    await wait_status(outer, test_id, ConversationStatus.ERROR)
