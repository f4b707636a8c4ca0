"""A reflector's copy is the truth, whatever LIST and WATCH go through."""

import asyncio
from typing import Any

import pytest

from conversations.cluster.connection import Connection
from conversations.cluster.reflector import GIVE_UP_AFTER
from conversations.core.observed import Child
from tests.contract.kube.reflecting import PODS, SECRETS, Watched, a_pod, reflecting, until
from tests.small_api.server import Server


async def test_a_list_of_many_pages_is_one_list(small_api: Server, connection: Connection) -> None:
    small_api.page_size = 3
    for number in range(10):
        small_api.store.create(PODS, a_pod(f"p{number}"))
    async with reflecting(small_api, connection) as watched:
        assert len(watched.names) == 10
        assert len(small_api.lists) == 4
        assert [word for word, _ in watched.told] == ["added"] * 10


async def test_events_follow_the_list_without_a_gap(
    small_api: Server, connection: Connection
) -> None:
    small_api.store.create(PODS, a_pod("a"))
    async with reflecting(small_api, connection) as watched:
        small_api.store.create(PODS, a_pod("b"))
        small_api.store.change(PODS, "a", status={"phase": "Running"})
        small_api.store.remove(PODS, "a")
        await small_api.tell()
        await watched.agrees()
        assert watched.told == [("added", "a"), ("added", "b"), ("changed", "a"), ("deleted", "a")]
        assert len(small_api.lists) == 1


async def test_what_vanished_while_we_were_away_is_told_as_deleted(
    small_api: Server, connection: Connection
) -> None:
    for name in "abc":
        small_api.store.create(PODS, a_pod(name))
    async with reflecting(small_api, connection) as watched:
        small_api.is_silent = True
        small_api.store.remove(PODS, "a")
        small_api.store.change(PODS, "b", status={"phase": "Running"})
        small_api.store.compact()
        small_api.is_silent = False
        watched.told.clear()
        small_api.cut()
        await watched.agrees()
        assert sorted(watched.told) == [("changed", "b"), ("deleted", "a")]


@pytest.mark.parametrize("in_stream", [True, False])
async def test_an_expired_version_means_a_new_list(
    small_api: Server, connection: Connection, in_stream: bool
) -> None:
    small_api.expired_in_stream = in_stream
    async with reflecting(small_api, connection) as watched:
        small_api.store.create(PODS, a_pod("a"))
        small_api.store.compact()
        small_api.cut()
        await watched.agrees()
        assert watched.names == ["a"]
        assert len(small_api.lists) == 2


async def test_a_list_that_expires_between_its_pages_starts_over(
    small_api: Server, connection: Connection
) -> None:
    small_api.page_size = 1
    for name in "ab":
        small_api.store.create(PODS, a_pod(name))
    small_api.answers = []
    watched = Watched(small_api, connection)

    def compact_after_first_page() -> None:
        small_api.store.create(PODS, a_pod("c"))
        small_api.store.compact()

    request = connection.request
    pages = 0

    async def paging(*args: Any, **options: Any) -> bytes:
        nonlocal pages
        answer = await request(*args, **options)
        pages += 1
        if pages == 1:
            compact_after_first_page()
        return answer

    connection.request = paging  # type: ignore[method-assign]
    task = asyncio.create_task(watched.reflector.run())
    await watched.agrees()
    assert watched.names == ["a", "b", "c"]
    task.cancel()


async def test_a_bookmark_moves_the_version_that_the_next_watch_starts_from(
    small_api: Server, connection: Connection
) -> None:
    async with reflecting(small_api, connection):
        small_api.store.create(PODS, {"metadata": {"name": "not-selected"}})
        await small_api.bookmark()
        small_api.cut()
        await until(lambda: len(small_api.watches) == 2)
        assert small_api.watches[1]["resourceVersion"] == str(small_api.store.version)
        assert len(small_api.lists) == 1


async def test_a_half_open_connection_is_given_up(
    small_api: Server, connection: Connection
) -> None:
    watched = Watched(small_api, connection)
    watched.reflector.inactivity_seconds = 0.2
    task = asyncio.create_task(watched.reflector.run())
    await until(lambda: len(small_api.watches) == 1)
    small_api.is_silent = True
    small_api.store.create(PODS, a_pod("a"))
    await until(lambda: len(small_api.watches) == 2)
    small_api.is_silent = False
    await small_api.tell()
    await watched.agrees()
    task.cancel()


async def test_a_server_that_hangs_up_at_once_is_not_stormed(
    small_api: Server, connection: Connection
) -> None:
    small_api.hang_up_at_once = True
    async with reflecting(small_api, connection):
        await asyncio.sleep(1.5)
        assert len(small_api.watches) < 10


async def test_a_permanent_410_is_not_a_hot_loop(small_api: Server, connection: Connection) -> None:
    async with reflecting(small_api, connection):
        small_api.store.compacted = 10**9
        small_api.cut()
        await asyncio.sleep(1.5)
        assert len(small_api.watches) < 10
        assert len(small_api.lists) < 10


async def test_a_version_that_the_server_will_not_have_leads_to_a_new_list(
    small_api: Server, connection: Connection
) -> None:
    async with reflecting(small_api, connection) as watched:
        small_api.answers = [(500, "Too large resource version")] * GIVE_UP_AFTER
        small_api.store.create(PODS, a_pod("a"))
        small_api.cut()
        await until(lambda: len(small_api.lists) == 2)
        await watched.agrees()


async def test_a_server_restored_from_a_backup_is_believed(
    small_api: Server, connection: Connection
) -> None:
    for name in "ab":
        small_api.store.create(PODS, a_pod(name))
    async with reflecting(small_api, connection) as watched:
        small_api.is_silent = True
        small_api.store.remove(PODS, "b")
        small_api.store.log.clear()
        small_api.store.version = 10
        small_api.store.change(PODS, "a", status={"phase": "Running"})
        small_api.is_silent = False
        watched.reflector.relist()
        await watched.agrees()
        small_api.store.change(PODS, "a", status={"phase": "Failed"})
        await small_api.tell()
        await watched.agrees()


async def test_relist_is_never_older_than_what_the_watch_has_brought(
    small_api: Server, connection: Connection
) -> None:
    small_api.store.create(PODS, a_pod("a"))
    small_api.store.create(PODS, a_pod("leaving"))
    async with reflecting(small_api, connection) as watched:
        small_api.hang.clear()
        watched.reflector.relist()
        await until(lambda: len(small_api.lists) == 2)
        small_api.store.create(PODS, a_pod("b"))
        small_api.store.remove(PODS, "leaving")
        small_api.hang.set()
        await watched.agrees()
        words = [told for told in watched.told if told != ("added", "leaving")]
        assert words == [("added", "a"), ("deleted", "leaving"), ("added", "b")]


async def test_relist_finds_what_the_watch_has_lost(
    small_api: Server, connection: Connection
) -> None:
    async with reflecting(small_api, connection) as watched:
        small_api.is_silent = True
        small_api.store.create(PODS, a_pod("a"))
        await small_api.tell()
        small_api.is_silent = False
        watched.reflector.relist()
        await watched.agrees()


async def test_null_for_no_items_and_metadata_only(
    small_api: Server, connection: Connection
) -> None:
    small_api.null_items = True
    async with reflecting(
        small_api, connection, path=SECRETS, kind=Child, metadata_only=True
    ) as watched:
        assert watched.names == []
        small_api.store.create(SECRETS, a_pod("s", data={"session-api-key": "c2VjcmV0"}))
        await small_api.tell()
        await until(lambda: watched.names == ["s"])
