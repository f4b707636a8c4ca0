"""A reflector at work, and what it tells of."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from conversations.cluster.connection import Connection
from conversations.cluster.paths import core
from conversations.cluster.reflector import Reflector
from conversations.core.observed import Pod
from tests.rig.waiting import eventually
from tests.small_api.server import Server

PODS = core("pods", "default")
SECRETS = core("secrets", "default")


def a_pod(name: str, **parts: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": {"app": "runtime"}}, **parts}


class Watched:
    """A running reflector, and every change that it told of."""

    def __init__(self, server: Server, connection: Connection, **options: Any) -> None:
        self.server = server
        self.told: list[tuple[str, str]] = []
        options = {"path": PODS, "kind": Pod, "label_selector": "app"} | options
        path, kind = options.pop("path"), options.pop("kind")
        self.reflector: Reflector[Any] = Reflector(
            connection, path, kind, on_change=self._on_change, **options
        )

    def _on_change(self, old: Any, new: Any) -> None:
        word = "added" if old is None else "deleted" if new is None else "changed"
        self.told.append((word, (new or old).metadata.name))

    @property
    def names(self) -> list[str]:
        return sorted(self.reflector.objects)

    @property
    def versions(self) -> dict[str, str]:
        return {n: o.metadata.resource_version for n, o in self.reflector.objects.items()}

    async def agrees(self) -> None:
        """Return when the copy is what the store holds."""

        def same() -> bool:
            stored = self.server.store.list(PODS, "app")
            return self.versions == {
                pod["metadata"]["name"]: pod["metadata"]["resourceVersion"] for pod in stored
            }

        await until(same)


async def until(holds: Callable[[], bool]) -> None:
    await eventually(holds, 10)


@asynccontextmanager
async def reflecting(
    server: Server, connection: Connection, **options: Any
) -> AsyncIterator[Watched]:
    watched = Watched(server, connection, **options)
    task = asyncio.create_task(watched.reflector.run())
    try:
        await asyncio.wait_for(watched.reflector.synced.wait(), 5)
        await until(lambda: len(server.watches) > 0)
        yield watched
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
