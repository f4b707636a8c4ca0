"""What the outer server's lists say: title, last change, cost, branch."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from openhands.storage.data_models.conversation_metadata import ConversationMetadata

from tests.openhands.rig.mirroring import Declared, Store, mirroring
from tests.openhands.rig.misbehaviour import say
from tests.openhands.rig.nested import Nested
from tests.rig.waiting import eventually

SID = "0123456789abcdef"
DEFAULT_TITLE = "Conversation 01234"
SECONDS = 15.0


def spend(nested: Nested, cost: float, prompt: int, completion: int) -> None:
    usage = {"prompt_tokens": prompt, "completion_tokens": completion}
    nested.add_event(llm_metrics={"accumulated_cost": cost, "accumulated_token_usage": usage})


async def wait_metadata(
    store: Store, what: Callable[[ConversationMetadata], bool]
) -> ConversationMetadata:
    async def so() -> bool:
        return what(await store.metadata(SID))

    await eventually(so, SECONDS, "metadata")
    return await store.metadata(SID)


async def test_last_change_cost_and_tokens(declared: Declared, store: Store) -> None:
    await store.save(SID, title="mine")
    nested = await declared.run(SID)
    spend(nested, 0.25, 10, 3)
    spend(nested, 0.5, 20, 6)
    nested.add_event()
    async with mirroring(declared, store):
        found = await wait_metadata(store, lambda m: m.accumulated_cost == 0.5)
    assert (found.prompt_tokens, found.completion_tokens, found.total_tokens) == (20, 6, 26)
    last = datetime.fromisoformat(nested.volume.events[-1]["timestamp"])
    assert found.last_updated_at == last.replace(tzinfo=UTC)
    assert found.title == "mine"


async def test_a_clock_that_is_ahead_is_not_believed(declared: Declared, store: Store) -> None:
    await store.save(SID)
    nested = await declared.run(SID)
    nested.add_event()["timestamp"] = "2999-01-01T00:00:00"
    async with mirroring(declared, store):
        found = await wait_metadata(store, lambda m: m.last_updated_at is not None)
    assert found.last_updated_at is not None
    assert found.last_updated_at <= datetime.now(UTC)


async def test_cost_of_a_lost_pod_counts(declared: Declared, store: Store) -> None:
    await store.save(SID)
    spend(await declared.run(SID), 0.5, 10, 1)
    async with mirroring(declared, store):
        await wait_metadata(store, lambda m: m.accumulated_cost == 0.5)
        nested = await declared.replace_pod(SID, "second")
        nested.add_event()["timestamp"] = "2026-02-02T00:00:00"
        spend(nested, 0.25, 4, 1)
        found = await wait_metadata(store, lambda m: m.accumulated_cost == 0.75)
        assert found.total_tokens == 16
    # Another process reads the same out of the files.
    async with mirroring(declared, store):
        spend(nested, 0.5, 8, 2)
        found = await wait_metadata(store, lambda m: m.accumulated_cost == 1.0)
    assert found.total_tokens == 21


async def test_the_nested_title_takes_the_place_of_the_default(
    declared: Declared, store: Store
) -> None:
    await store.save(SID, title=DEFAULT_TITLE)
    nested = await declared.run(SID)
    nested.add_event()
    async with mirroring(declared, store):
        await wait_metadata(store, lambda m: m.last_updated_at is not None)
        nested.volume.title = "Fix the tests"
        found = await wait_metadata(store, lambda m: m.title != DEFAULT_TITLE)
        assert found.title == "Fix the tests"
        nested.volume.title = "Another one"
        spend(nested, 0.5, 1, 1)
        found = await wait_metadata(store, lambda m: m.accumulated_cost == 0.5)
    assert found.title == "Fix the tests"


async def test_a_title_that_a_person_gave_stays(declared: Declared, store: Store) -> None:
    await store.save(SID, title="Mine")
    nested = await declared.run(SID)
    nested.volume.title = "Yours"
    nested.add_event()
    async with mirroring(declared, store):
        found = await wait_metadata(store, lambda m: m.last_updated_at is not None)
    assert found.title == "Mine"


@pytest.mark.parametrize("title", ["", "   ", "x" * 201, "a\nb", "a\u202eb", 5, None, ["x"]])
async def test_a_title_that_is_none(declared: Declared, store: Store, title: Any) -> None:
    await store.save(SID, title=DEFAULT_TITLE)
    nested = await declared.run(SID)
    nested.instead["GET", SID] = say(200, {"title": title, "status": "RUNNING"})
    nested.add_event()
    async with mirroring(declared, store):
        found = await wait_metadata(store, lambda m: m.last_updated_at is not None)
    assert found.title == DEFAULT_TITLE


async def test_the_branch_follows_git(declared: Declared, store: Store) -> None:
    await store.save(SID, title="x", selected_branch="main")
    nested = await declared.run(SID)
    branch = say(200, {"title": "x", "selected_branch": "work", "status": "RUNNING"})
    nested.instead["GET", SID] = branch
    nested.add_event()
    async with mirroring(declared, store):
        found = await wait_metadata(store, lambda m: m.last_updated_at is not None)
        assert found.selected_branch == "main"
        extras = {"command": "git checkout work", "metadata": {}}
        nested.volume.events.append(
            {
                "id": 1,
                "timestamp": "2026-01-01T00:01:00",
                "source": "agent",
                "observation": "run",
                "content": "",
                "extras": extras,
            }
        )
        await wait_metadata(store, lambda m: m.selected_branch == "work")


async def test_nothing_new_is_nothing_written(
    declared: Declared, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.save(SID, title="x")
    declared_nested = await declared.run(SID)
    declared_nested.add_event()
    async with mirroring(declared, store):
        await wait_metadata(store, lambda m: m.last_updated_at is not None)
        path = store.folder / f"sessions/{SID}/metadata.json"
        before = path.stat().st_mtime_ns
        await asyncio.sleep(6)  # Longer than metadata is held back.
        assert path.stat().st_mtime_ns == before
    async with mirroring(declared, store):
        await asyncio.sleep(1)
    assert path.stat().st_mtime_ns == before


async def test_deleted_metadata_does_not_come_back(declared: Declared, store: Store) -> None:
    nested = await declared.run(SID)
    nested.add_event()
    async with mirroring(declared, store):

        async def mirrored() -> bool:
            return store.ids(SID) == [0]

        await eventually(mirrored, SECONDS, "the event")
    assert not (store.folder / f"sessions/{SID}/metadata.json").exists()


async def test_metadata_that_cannot_be_read_now_is_written_later(
    declared: Declared, store: Store
) -> None:
    await store.save(SID, title="x")
    failures = 2

    async def flaky(user: str | None) -> Any:
        nonlocal failures
        if failures:
            failures -= 1
            raise OSError("the database is away")
        return await inner(user)

    inner: Callable[[str | None], Awaitable[Any]] = store.metadata_store
    store.metadata_store = flaky  # type: ignore[method-assign]
    (await declared.run(SID)).add_event()
    async with mirroring(declared, store):

        async def so() -> bool:
            return (await (await inner(None)).get_metadata(SID)).last_updated_at is not None

        await eventually(so, 20, "metadata")
    assert not failures
