"""Answers of our own requests and the watch tell the same story, in whatever order they come."""

from collections.abc import AsyncIterator

import msgspec
import pytest

from conversations.cluster.connection import Connection
from conversations.core.observed import Pod
from tests.contract.kube.reflecting import PODS, Watched, a_pod, reflecting, until
from tests.small_api.server import Server
from tests.small_api.store import Manifest


def decoded(manifest: Manifest) -> Pod:
    return msgspec.convert(manifest, Pod)


@pytest.fixture
async def watched(small_api: Server, connection: Connection) -> AsyncIterator[Watched]:
    async with reflecting(small_api, connection) as watched:
        yield watched


async def test_an_observed_object_is_there_at_once_and_told_once(
    small_api: Server, watched: Watched
) -> None:
    created = small_api.store.create(PODS, a_pod("a"))
    watched.reflector.observe(decoded(created))
    assert watched.told == [("added", "a")]
    await small_api.bookmark()
    await small_api.tell()
    await watched.agrees()
    assert watched.told == [("added", "a")]


async def test_an_answer_that_the_watch_has_overtaken_changes_nothing(
    small_api: Server, watched: Watched
) -> None:
    created = small_api.store.create(PODS, a_pod("a"))
    small_api.store.change(PODS, "a", status={"phase": "Running"})
    await small_api.tell()
    await watched.agrees()
    watched.reflector.observe(decoded(created))
    await watched.agrees()


async def test_an_answer_about_what_is_deleted_by_now_does_not_bring_it_back(
    small_api: Server, watched: Watched
) -> None:
    created = small_api.store.create(PODS, a_pod("a"))
    small_api.store.remove(PODS, "a")
    await small_api.tell()
    await until(lambda: watched.told == [("added", "a"), ("deleted", "a")])
    watched.reflector.observe(decoded(created))
    assert watched.names == []


async def test_events_from_before_a_delete_do_not_bring_it_back(
    small_api: Server, watched: Watched
) -> None:
    created = small_api.store.create(PODS, a_pod("a"))
    watched.reflector.observe(decoded(created))
    small_api.store.change(PODS, "a", status={"phase": "Running"})
    small_api.store.remove(PODS, "a")
    watched.reflector.forget("a", created["metadata"]["uid"])
    watched.told.clear()
    small_api.store.create(PODS, a_pod("after"))
    await small_api.tell()
    await until(lambda: watched.told == [("added", "after")])


async def test_a_list_from_before_a_delete_does_not_bring_it_back(
    small_api: Server, connection: Connection
) -> None:
    created = small_api.store.create(PODS, a_pod("a"))
    watched = Watched(small_api, connection)
    await watched.reflector._list()
    request = connection.request

    async def delayed(*args: object, **options: object) -> bytes:
        answer = await request(*args, **options)  # type: ignore[arg-type]
        small_api.store.remove(PODS, "a")
        watched.reflector.forget("a", created["metadata"]["uid"])
        return answer

    connection.request = delayed  # type: ignore[assignment,method-assign]
    await watched.reflector._list()
    assert watched.names == []
    assert watched.told == [("added", "a"), ("deleted", "a")]


async def test_a_list_from_before_a_create_does_not_drop_it(
    small_api: Server, connection: Connection
) -> None:
    watched = Watched(small_api, connection)
    request = connection.request

    async def delayed(*args: object, **options: object) -> bytes:
        answer = await request(*args, **options)  # type: ignore[arg-type]
        created = small_api.store.create(PODS, a_pod("a"))
        watched.reflector.observe(decoded(created))
        return answer

    connection.request = delayed  # type: ignore[assignment,method-assign]
    await watched.reflector._list()
    assert watched.told == [("added", "a")]


async def test_a_successor_of_the_same_name_survives_the_end_of_its_predecessor(
    small_api: Server, watched: Watched
) -> None:
    first = small_api.store.create(PODS, a_pod("a"))
    watched.reflector.observe(decoded(first))
    small_api.store.remove(PODS, "a")
    second = small_api.store.create(PODS, a_pod("a"))
    watched.reflector.observe(decoded(second))
    watched.reflector.forget("a", first["metadata"]["uid"])
    await small_api.tell()
    await watched.agrees()
    assert watched.reflector.objects["a"].metadata.uid == second["metadata"]["uid"]
    assert ("deleted", "a") not in watched.told
