"""The history that stays: what pods tell, and what OpenHands then reads from its own file store."""

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor

from aiohttp import web

from conversations.openhands.v0.follower import Follower
from conversations.openhands.v0.history import History
from tests.openhands.rig.mirroring import (
    SECONDS,
    Declared,
    Failing,
    Store,
    add,
    mirroring,
    wait_ids,
)
from tests.openhands.rig.nested import Nested
from tests.rig.waiting import eventually


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


async def test_a_pull_that_is_given_up_is_done_again(declared: Declared, store: Store) -> None:
    add(await declared.run("s"), 50)
    slow = Failing(store.files, write_seconds=0.02)
    watched = declared.watched["s"]
    with ThreadPoolExecutor(1) as threads:
        history = History(slow, "s", None)
        follower = Follower(watched, history, asyncio.Lock(), threads)
        async with declared.draining_runtime(watched, 60) as nested:
            pull = asyncio.create_task(follower.pull(nested))
            await asyncio.sleep(0.5)
            pull.cancel()
            await asyncio.gather(pull, return_exceptions=True)
            written = len(store.ids("s"))
            assert 0 < written < 50
            await asyncio.sleep(0.3)
            assert len(store.ids("s")) <= written + 1
            await follower.pull(nested)
    assert store.ids("s") == list(range(50))


async def test_forgetting_waits_for_the_write_under_way(declared: Declared, store: Store) -> None:
    add(await declared.run("s"), 100)
    slow = Failing(store.files, write_seconds=0.1)
    async with mirroring(declared, store, lambda _: slow) as mirror:
        await eventually(lambda: store.ids("s"), SECONDS, "the first event")
        declared.delete("s")
        await mirror.forget("s")
        written = store.ids("s")
        assert len(written) < 100
        await asyncio.sleep(0.5)
        assert store.ids("s") == written


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


async def test_a_pod_that_answers_after_the_forgetting_leaves_nothing(
    declared: Declared, store: Store
) -> None:
    nested = await declared.run("s")
    add(nested, 10)
    asked, answer = asyncio.Event(), asyncio.Event()

    async def late(request: web.Request) -> web.StreamResponse:
        asked.set()
        await answer.wait()
        return web.json_response({"events": nested.volume.events[:1], "has_more": True})

    nested.instead["GET", "/events"] = late
    async with mirroring(declared, store) as mirror:
        await asked.wait()
        declared.delete("s")
        await mirror.forget("s")
        answer.set()
        await asyncio.sleep(1)
    assert not (store.folder / "sessions/s").exists()


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
    event = Nested("x").add_event()
    for number in range(2500):
        (path := store.folder / f"sessions/s/events/{number}.json").parent.mkdir(
            parents=True, exist_ok=True
        )
        path.write_text(json.dumps(event))
    mark, next_id, _ = History(truncated, "s", None).locate(event["timestamp"])
    assert (mark.offset, next_id) == (0, 2500)
