"""Creating objects at a given pace, and seeing on a watch of its own when each became Ready."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from tests.rig.api import Api, ApiError, Manifest
from tests.rig.observe import condition

Create = Callable[[str], Awaitable[object]]


@dataclass
class Sightings:
    """When each object was asked for, and when it was first seen Ready."""

    sent: dict[str, float] = field(default_factory=dict)
    ready: dict[str, float] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def latencies(self) -> list[float]:
        """Seconds from create sent to Ready seen, sorted."""
        return sorted(self.ready[name] - sent for name, sent in self.sent.items())

    def see(self, manifest: Manifest) -> None:
        name = manifest["metadata"]["name"]
        if name not in self.ready and condition(manifest, "Ready").get("status") == "True":
            self.ready[name] = time.perf_counter()
            self.changed.set()

    async def wait(self, deadline_seconds: float) -> None:
        """Return once all that was asked for is Ready."""
        async with asyncio.timeout(deadline_seconds):
            while not self.sent.keys() <= self.ready.keys():
                self.changed.clear()
                await self.changed.wait()


@contextlib.asynccontextmanager
async def sightings(api: Api, resource: str) -> AsyncIterator[Sightings]:
    """Sightings of what is created within the block."""
    seen = Sightings()
    task = asyncio.create_task(_follow(api, resource, seen))
    try:
        yield seen
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _follow(api: Api, resource: str, seen: Sightings) -> None:
    """Until cancelled; the API server ends a watch when it likes, or when its reader is too slow."""
    version = await _version(api, resource)
    while True:
        try:
            async for kind, manifest in api.watch(resource, resourceVersion=version):
                if kind == "ERROR":
                    break
                version = manifest["metadata"]["resourceVersion"]
                seen.see(manifest)
        except ApiError:
            pass  # 410: what was missed is in the list.
        version = await _version(api, resource)
        for manifest in await api.list(resource):
            seen.see(manifest)


async def _version(api: Api, resource: str) -> str:
    answer = await api.request("GET", api.path(resource), query={"limit": "1"})
    return str(answer["metadata"]["resourceVersion"])


async def open_loop(names: list[str], per_second: float, create: Create, seen: Sightings) -> None:
    """Ask for each at its own time, however slow the answers are; return when all are Ready."""
    start = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number, name in enumerate(names):
            await asyncio.sleep(start + number / per_second - time.perf_counter())
            group.create_task(_ask(name, create, seen))
    await seen.wait(deadline_seconds=60)


async def burst(names: list[str], at_once: int, create: Create, seen: Sightings) -> float:
    """Ask for all as fast as `at_once` connections can; seconds until the last is Ready."""
    start = time.perf_counter()
    gate = asyncio.Semaphore(at_once)

    async def one(name: str) -> None:
        async with gate:
            await _ask(name, create, seen)

    async with asyncio.TaskGroup() as group:
        for name in names:
            group.create_task(one(name))
    await seen.wait(deadline_seconds=1800)
    return time.perf_counter() - start


async def _ask(name: str, create: Create, seen: Sightings) -> None:
    seen.sent[name] = time.perf_counter()
    await create(name)


def percentile(values: list[float], share: float) -> float:
    """Of sorted values, by the nearest rank."""
    return values[min(len(values) - 1, int(share * len(values)))]


def milliseconds(values: list[float]) -> dict[str, float]:
    """p50, p95 and p99 in milliseconds."""
    return {f"p{share}": percentile(values, share / 100) * 1000 for share in (50, 95, 99)}


def as_json(text: str) -> dict[str, float]:
    """The last line of a measuring process's output."""
    found: dict[str, float] = json.loads(text.strip().splitlines()[-1])
    return found
