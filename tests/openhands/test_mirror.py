"""The history that stays: what pods tell, and what OpenHands then reads from its own file store."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from openhands.storage.files import FileStore

from conversations.openhands.v0.draining import Drainer
from conversations.openhands.v0.history import LEFT_OUT, MAX_EVENT_BYTES, History
from tests.openhands.rig.mirroring import Declared, Store, mirroring
from tests.openhands.rig.nested import Nested, half_a_body, nothing, say
from tests.rig.waiting import eventually

SECONDS = 15.0


@pytest.fixture
async def declared() -> AsyncIterator[Declared]:
    declared = Declared()
    yield declared
    await declared.aclose()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "files")


async def wait_ids(store: Store, sid: str, count: int, user: str | None = None) -> None:
    async def all_there() -> bool:
        try:
            return store.ids(sid, user) == list(range(count))
        except ValueError:
            return False  # A test has broken a file, and it is not mended yet.

    await eventually(all_there, SECONDS, f"{count} events")


def add(nested: Nested, count: int) -> None:
    for _ in range(count):
        nested.add_event()


async def test_every_event_comes_over_page_by_page_and_goes_on(
    declared: Declared, store: Store
) -> None:
    nested = await declared.run("s")
    add(nested, 250)
    async with mirroring(declared, store):
        await wait_ids(store, "s", 250)
        assert [e["message"] for e in store.events("s")] == [f"event {n}" for n in range(250)]
        add(nested, 3)
        await wait_ids(store, "s", 253)


async def test_a_users_events_are_the_users(declared: Declared, store: Store) -> None:
    add(await declared.run("s", "auth0|ada@example.org"), 3)
    async with mirroring(declared, store):
        await wait_ids(store, "s", 3, "auth0|ada@example.org")
    assert store.ids("s") == []


async def test_only_json_is_written_and_nothing_that_is_unpickled(
    declared: Declared, store: Store
) -> None:
    add(await declared.run("s"), 60)
    async with mirroring(declared, store):
        await wait_ids(store, "s", 60)
    files = [path for path in store.folder.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".json"}
    assert {path.parent.name for path in files} == {"events", "event_cache", "mirror"}
    assert all(json.loads(path.read_text()) is not None for path in files)


async def test_a_server_that_was_killed_goes_on_where_the_history_ends(
    declared: Declared, store: Store
) -> None:
    nested = await declared.run("s")
    add(nested, 30)
    async with mirroring(declared, store):
        await wait_ids(store, "s", 30)
    # Half of the last file: what a crash of OpenHands 1.4's file store leaves.
    (store.folder / "sessions/s/events/29.json").write_text('{"id": 29, "ti')
    add(nested, 30)
    nested.calls.clear()
    async with mirroring(declared, store):
        await wait_ids(store, "s", 60)
    asked = [int(call.query["start_id"]) for call in nested.called("GET", "/events")]
    assert asked[:2] == [0, 29]


async def test_two_servers_write_the_same_history(declared: Declared, store: Store) -> None:
    nested = await declared.run("s")
    add(nested, 120)
    async with mirroring(declared, store), mirroring(declared, store):
        await wait_ids(store, "s", 120)
        first = await declared.replace_pod("s", "second")
        restart_history(first, "2026-02-02", 40)
        await wait_ids(store, "s", 160)
        await asyncio.sleep(2)
    assert store.ids("s") == list(range(160))


def restart_history(nested: Nested, day: str, count: int) -> None:
    for number in range(count):
        event = nested.add_event(cause=0) if number else nested.add_event()
        event["timestamp"] = f"{day}T00:00:{number % 60:02}.000000"
        event["message"] = event["args"]["content"] = f"{day} {number}"


async def test_a_pod_that_lost_its_volume_overwrites_nothing(
    declared: Declared, store: Store
) -> None:
    restart_history(await declared.run("s"), "2026-01-01", 30)
    async with mirroring(declared, store):
        await wait_ids(store, "s", 30)
        restart_history(await declared.replace_pod("s", "second"), "2026-02-02", 5)
        await wait_ids(store, "s", 35)
    restart_history(await declared.replace_pod("s", "third"), "2026-03-03", 5)
    # Another process: nothing but the files knows.
    async with mirroring(declared, store):
        await wait_ids(store, "s", 40)
        add(declared.nested["s"], 1)
        await wait_ids(store, "s", 41)
    events = store.events("s")
    assert [e["message"] for e in events[30:32]] == ["2026-02-02 0", "2026-02-02 1"]
    assert [e["message"] for e in events[35:37]] == ["2026-03-03 0", "2026-03-03 1"]
    assert [events[n]["cause"] for n in (1, 31, 36)] == [0, 30, 35]


async def test_what_another_manager_left_is_kept(declared: Declared, store: Store) -> None:
    restart_history(old := Nested("s"), "2025-12-12", 3)
    for event in old.volume.events:
        store.files.write(f"sessions/s/events/{event['id']}.json", json.dumps(event))
    restart_history(await declared.run("s"), "2026-01-01", 3)
    async with mirroring(declared, store):
        await wait_ids(store, "s", 6)
    assert store.events("s")[3]["message"] == "2026-01-01 0"


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


@pytest.mark.parametrize("fields", HOSTILE.values(), ids=HOSTILE.keys())
async def test_an_event_that_openhands_could_not_read_becomes_a_note(
    declared: Declared, store: Store, fields: dict[str, Any]
) -> None:
    nested = await declared.run("s")
    add(nested, 2)
    nested.add_event(**fields)
    add(nested, 2)
    async with mirroring(declared, store):
        await wait_ids(store, "s", 5)
    events = store.events("s")
    assert events[2]["content"] == LEFT_OUT
    assert [events[n]["message"] for n in (1, 3)] == ["event 1", "event 3"]


def ids_of(*ids: object) -> dict[str, Any]:
    fields = Nested("x").add_event()
    return {"events": [{**fields, "id": number} for number in ids], "has_more": False}


@pytest.mark.parametrize(
    "answer",
    [
        say(500, {}),
        say(200, "<html>"),
        say(200, []),
        say(200, {"events": {}}),
        say(200, {"events": ["x"], "has_more": True}),
        say(200, ids_of(10**12)),
        say(200, ids_of(-1)),
        say(200, ids_of("0")),
        nothing,
        half_a_body,
    ],
)
async def test_whatever_a_pod_answers_the_history_is_whole_once_it_behaves(
    declared: Declared, store: Store, answer: Any
) -> None:
    nested = await declared.run("s")
    add(nested, 3)
    nested.instead["GET", "/events"] = answer
    async with mirroring(declared, store):
        other = await declared.run("other")
        add(other, 3)
        await wait_ids(store, "other", 3)
        assert store.ids("s") == []
        nested.instead.clear()
        await wait_ids(store, "s", 3)


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


class Failing(FileStore):
    """A store that is away for a while."""

    def __init__(self, inner: FileStore) -> None:
        self.inner = inner
        self.is_away = True
        self.refused = 0

    def write(self, path: str, contents: str | bytes) -> None:
        if self.is_away and path.endswith("/7.json"):
            self.refused += 1
            raise OSError("no space left on device")
        self.inner.write(path, contents)

    def read(self, path: str) -> str:
        return str(self.inner.read(path))

    def list(self, path: str) -> list[str]:
        return list(self.inner.list(path))

    def delete(self, path: str) -> None:
        self.inner.delete(path)


async def test_a_write_that_fails_stops_the_rest_and_is_tried_again(
    declared: Declared, store: Store
) -> None:
    add(await declared.run("s"), 10)
    failing = Failing(store.files)
    async with mirroring(declared, store, lambda _: failing):
        await wait_ids(store, "s", 7)
        failing.is_away = False
        await wait_ids(store, "s", 10)
    assert failing.refused


async def test_one_pod_is_asked_about_once_a_second_and_less_while_it_is_quiet(
    declared: Declared, store: Store
) -> None:
    nested = await declared.run("s")
    add(nested, 1)
    async with mirroring(declared, store) as mirror:
        await wait_ids(store, "s", 1)
        nested.calls.clear()
        for _ in range(30):
            mirror.poke("s")
            await asyncio.sleep(0.1)
        asked = len(nested.called("GET", "/events"))
        assert 2 <= asked <= 4
        await asyncio.sleep(6)
        assert len(nested.called("GET", "/events")) - asked <= 4


async def test_a_poke_is_soon_answered(declared: Declared, store: Store) -> None:
    nested = await declared.run("s")
    add(nested, 1)
    async with mirroring(declared, store) as mirror:
        await wait_ids(store, "s", 1)
        await asyncio.sleep(7)  # The next look by itself is four seconds away.
        add(nested, 1)
        mirror.poke("s")
        began = time.monotonic()
        await wait_ids(store, "s", 2)
        assert time.monotonic() - began < 2.5


async def test_nothing_is_written_once_it_is_forgotten(declared: Declared, store: Store) -> None:
    nested = await declared.run("s")
    async with mirroring(declared, store) as mirror:
        for _ in range(5):
            add(nested, 100)
            await asyncio.sleep(0.3)
        declared.delete("s")
        await mirror.forget("s")
        store.files.delete("sessions/s")
        await asyncio.sleep(2)
        assert store.ids("s") == []
        assert not (store.folder / "sessions/s").exists()


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


# --- pages that make reading quick


async def test_full_pages_are_there_as_openhands_writes_them(
    declared: Declared, store: Store
) -> None:
    add(await declared.run("s"), 60)
    async with mirroring(declared, store):
        await wait_ids(store, "s", 60)
    cache = store.folder / "sessions/s/event_cache"
    assert sorted(path.name for path in cache.iterdir()) == ["0-25.json", "25-50.json"]
    for event in (store.folder / "sessions/s/events").iterdir():
        if int(event.stem) < 50:
            event.unlink()
    # 25 of them from each page.
    assert store.ids("s")[:50] == list(range(50))


async def test_the_end_of_a_long_history_is_found_on_s3(store: Store) -> None:
    class Truncated(Failing):
        def list(self, path: str) -> list[str]:
            return sorted(self.inner.list(path))[:1000]

    truncated = Truncated(store.files)
    truncated.is_away = False
    event = json.dumps(Nested("x").add_event())
    for number in range(2500):
        (path := store.folder / f"sessions/s/events/{number}.json").parent.mkdir(
            parents=True, exist_ok=True
        )
        path.write_text(event)
    mark, next_id, _ = History(truncated, "s", None).locate("2026-01-01T00:00:00.000000")
    assert (mark.offset, next_id) == (0, 2500)


# --- before a pod goes


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
