"""A DELETE that ends an object at once is answered with the very version of the watch's event."""

from conversations.cluster.connection import Connection
from tests.contract.kube.test_reflector import PODS, a_pod, reflecting
from tests.contract.kube.test_reflector_own_writes import decoded
from tests.small_api.server import Server


async def test_the_answer_to_a_delete_does_not_hide_its_event(
    small_api: Server, connection: Connection
) -> None:
    small_api.store.create(PODS, a_pod("a"))
    async with reflecting(small_api, connection) as watched:
        leaving = small_api.store.get(PODS, "a")
        version = str(small_api.store.version + 1)
        meta = {**leaving["metadata"], "resourceVersion": version}
        gone = {**leaving, "metadata": meta | {"deletionTimestamp": "2026-01-01T00:00:00Z"}}
        watched.reflector.observe(decoded(gone))
        assert watched.names == ["a"]
        small_api.store.remove(PODS, "a")
        await small_api.tell()
        await watched.agrees()
        assert watched.told == [("added", "a"), ("changed", "a"), ("deleted", "a")]
