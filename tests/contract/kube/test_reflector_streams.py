"""Streams that are cut, unreadable, huge or garbage."""

import json

from conversations.cluster.connection import Connection
from tests.contract.kube.reflecting import PODS, a_pod, reflecting, until
from tests.small_api.server import Server

UNREADABLE = {"status": {"phase": 7}}


async def test_an_object_that_cannot_be_read_hides_no_other_in_a_list(
    small_api: Server, connection: Connection
) -> None:
    small_api.store.create(PODS, a_pod("a"))
    small_api.store.create(PODS, a_pod("bad", **UNREADABLE))
    async with reflecting(small_api, connection) as watched:
        assert watched.names == ["a"]


async def test_an_object_that_cannot_be_read_hides_no_later_event(
    small_api: Server, connection: Connection
) -> None:
    small_api.store.create(PODS, a_pod("bad"))
    async with reflecting(small_api, connection) as watched:
        known = watched.versions["bad"]
        small_api.store.change(PODS, "bad", **UNREADABLE)
        small_api.store.create(PODS, a_pod("a"))
        await small_api.tell()
        await until(lambda: watched.names == ["a", "bad"])
        assert watched.versions["bad"] == known
        watched.reflector.relist()
        await until(lambda: len(small_api.watches) == 2)
        assert watched.versions["bad"] == known
        small_api.store.remove(PODS, "bad")
        await small_api.tell()
        await watched.agrees()


async def test_chunks_may_end_anywhere(small_api: Server, connection: Connection) -> None:
    async with reflecting(small_api, connection) as watched:
        pod = a_pod("a", status={"message": "späť 🙂"})
        pod["metadata"]["resourceVersion"] = "200"
        line = json.dumps({"type": "ADDED", "object": pod}, ensure_ascii=False).encode() + b"\n"
        cuts = [line.index("ä".encode()) + 1, line.index("🙂".encode()) + 2, len(line) - 1]
        edges = [0, *cuts, len(line)]
        await small_api.send(*(line[a:b] for a, b in zip(edges, edges[1:], strict=False)))
        await until(lambda: watched.names == ["a"])
        assert watched.reflector.objects["a"].status.message == "späť 🙂"


async def test_several_events_in_one_chunk_and_empty_lines(
    small_api: Server, connection: Connection
) -> None:
    async with reflecting(small_api, connection) as watched:
        lines = b""
        for number in range(3):
            pod = a_pod(f"p{number}")
            pod["metadata"]["resourceVersion"] = str(200 + number)
            lines += json.dumps({"type": "ADDED", "object": pod}).encode() + b"\n\n"
        await small_api.send(lines)
        await until(lambda: watched.names == ["p0", "p1", "p2"])


async def test_an_event_cut_off_in_the_middle_comes_again(
    small_api: Server, connection: Connection
) -> None:
    async with reflecting(small_api, connection) as watched:
        await small_api.send(b'{"type": "ADDED", "object": {"metadata": {"na')
        small_api.cut()
        small_api.store.create(PODS, a_pod("a"))
        await watched.agrees()


async def test_garbage_in_the_stream_ends_that_watch_only(
    small_api: Server, connection: Connection
) -> None:
    async with reflecting(small_api, connection) as watched:
        await small_api.send(b"<html>502</html>\n")
        small_api.store.create(PODS, a_pod("a"))
        await watched.agrees()


async def test_one_giant_object(small_api: Server, connection: Connection) -> None:
    async with reflecting(small_api, connection) as watched:
        small_api.store.create(PODS, a_pod("big", status={"message": "x" * 1_400_000}))
        await small_api.tell()
        await watched.agrees()
        assert len(watched.reflector.objects["big"].status.message) == 1_400_000


async def test_failing_since_speaks_of_the_api_server_only_while_it_fails(
    small_api: Server, connection: Connection
) -> None:
    async with reflecting(small_api, connection) as watched:
        assert watched.reflector.failing_since is None
        small_api.answers = [(503, "ServiceUnavailable")] * 2
        small_api.cut()
        await until(lambda: watched.reflector.failing_since is not None)
        await until(lambda: watched.reflector.failing_since is None)
