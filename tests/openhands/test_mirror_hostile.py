"""What a pod may say instead of its history, and what then stands in OpenHands' file store."""

import asyncio
from functools import partial
from typing import Any

import pytest

from conversations.openhands.v0.history import LEFT_OUT, MAX_EVENT_BYTES
from tests.openhands.rig.mirroring import Declared, Store, add, mirroring, wait_ids
from tests.openhands.rig.misbehaviour import Answer, half_a_body, nothing, say
from tests.openhands.rig.nested import Nested
from tests.rig.waiting import eventually

HOSTILE: dict[str, dict[str, Any]] = {
    "no event": {"action": None, "args": 1},
    "unknown action": {"action": "launch"},
    "unknown arguments": {"args": {"content": "x", "surprise": 1}},
    "arguments that are no object": {"args": [[]]},
    "unknown source": {"source": "moon"},
    "no time": {"timestamp": "yesterday"},
    "metrics that are no metrics": {"llm_metrics": {"costs": [{"surprise": 1}]}},
    "not a number": {"args": {"content": "x", "wait_for_response": float("nan")}},
    "half a character": {"message": "\ud800", "args": {"content": "\ud800"}},
    "too large": {"message": "x" * (MAX_EVENT_BYTES + 1)},
}


async def test_an_event_that_openhands_could_not_read_becomes_a_note(
    declared: Declared, store: Store
) -> None:
    for sid, fields in HOSTILE.items():
        nested = await declared.run(sid)
        add(nested, 2)
        nested.add_event(**fields)
        add(nested, 2)
    async with mirroring(declared, store):
        for sid in HOSTILE:
            await wait_ids(store, sid, 5)
    for sid in HOSTILE:
        events = store.events(sid)
        assert events[2]["content"] == LEFT_OUT, sid
        assert [events[n]["message"] for n in (1, 3)] == ["event 1", "event 3"], sid


def ids_of(*ids: object) -> dict[str, Any]:
    fields = Nested("x").add_event()
    return {"events": [{**fields, "id": number} for number in ids], "has_more": False}


ANSWERS: dict[str, Answer] = {
    "an error": say(500, {}),
    "HTML": say(200, "<html>"),
    "a list": say(200, []),
    "events that are no list": say(200, {"events": {}}),
    "events that are no objects": say(200, {"events": ["x"], "has_more": True}),
    "an id far away": say(200, ids_of(10**12)),
    "an id below zero": say(200, ids_of(-1)),
    "an id that is text": say(200, ids_of("0")),
    "nothing": nothing,
    "half a body": half_a_body,
}


async def test_whatever_a_pod_answers_the_history_is_whole_once_it_behaves(
    declared: Declared, store: Store
) -> None:
    for sid, answer in ANSWERS.items():
        nested = await declared.run(sid)
        add(nested, 3)
        nested.instead["GET", "/events"] = answer
    add(await declared.run("other"), 3)
    async with mirroring(declared, store):
        await wait_ids(store, "other", 3)
        for sid in ANSWERS:
            await eventually(partial(declared.nested[sid].called, "GET", "/events"), 10)
        assert [sid for sid in ANSWERS if store.ids(sid)] == []
        for sid in ANSWERS:
            declared.nested[sid].instead.clear()
        for sid in ANSWERS:
            await wait_ids(store, sid, 3)


async def test_an_event_that_is_missing_yet_is_waited_for(declared: Declared, store: Store) -> None:
    nested = await declared.run("s")
    add(nested, 5)
    late = nested.volume.events.pop(2)
    nested.instead["GET", "/events"] = say(200, {"events": nested.volume.events, "has_more": False})
    async with mirroring(declared, store):
        await wait_ids(store, "s", 2)
        nested.volume.events.insert(2, late)
        nested.instead.clear()
        await wait_ids(store, "s", 5)


@pytest.mark.parametrize("user", ["../../../etc", "..", "a/../../b"])
async def test_a_user_that_names_another_folder_is_not_mirrored(
    declared: Declared, store: Store, user: str
) -> None:
    nested = await declared.run("s", user)
    add(nested, 1)
    async with mirroring(declared, store):
        await asyncio.sleep(1)
    assert nested.calls == []
    assert list(store.folder.rglob("*.json")) == []


async def test_an_event_that_never_comes_holds_up_the_rest_for_seconds_only(
    declared: Declared, store: Store
) -> None:
    nested = await declared.run("s")
    add(nested, 5)
    del nested.volume.events[2]
    async with mirroring(declared, store):
        await eventually(lambda: store.ids("s") == [0, 1], 5)
        await eventually(lambda: store.ids("s") == [0, 1, 3, 4], 12)
