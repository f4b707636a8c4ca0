"""A mirror without a cluster: conversations that a test declares, and their nested servers on loopback."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from openhands.core.config.openhands_config import OpenHandsConfig
from openhands.events.event_store import EventStore
from openhands.events.serialization.event import event_to_dict
from openhands.storage import get_file_store
from openhands.storage.conversation.file_conversation_store import FileConversationStore
from openhands.storage.data_models.conversation_metadata import ConversationMetadata
from openhands.storage.files import FileStore

from conversations.api.labels import DRAINED_POD
from conversations.client.watched import Watched, WatchedMeta
from conversations.openhands.v0 import statuses
from conversations.openhands.v0.mirror import Changed, Mirror
from conversations.runtime.deadline import deadline
from conversations.runtime.openhands_v0 import OpenHandsV0
from tests.openhands.rig.nested import Nested
from tests.rig.ports import free_port
from tests.rig.waiting import eventually

SECONDS = 15.0
KEY = "session-key-that-must-stay-secret"
READY = {"type": "Ready", "status": "True", "reason": "RuntimeReady", "observedGeneration": 1}


class Declared:
    """An installation whose conversations are what the test says."""

    def __init__(self) -> None:
        self.watched: dict[str, Watched] = {}
        self.nested: dict[str, Nested] = {}
        self.listeners: list[Changed] = []

    async def run(self, sid: str, user: str | None = None, **status: Any) -> Nested:
        """A conversation is Ready, its pod there."""
        nested = await start_nested(sid)
        self.nested[sid] = nested
        spec = {"sessionID": sid, "user": user} if user else {"sessionID": sid}
        known = {"podUID": f"pod-of-{sid}", "url": nested.url, "conditions": [READY], **status}
        self.change(sid, Watched(WatchedMeta(sid, uid=f"uid-of-{sid}"), spec, known))
        return nested

    async def replace_pod(self, sid: str, name: str) -> Nested:
        """Its volume was no claim: another pod begins at nothing."""
        await self.nested[sid].stop()
        old = self.watched[sid]
        nested = self.nested[sid] = await start_nested(sid)
        status = {**old.status, "podUID": name, "url": nested.url}
        self.change(sid, Watched(old.metadata, old.spec, status))
        return nested

    def pause(self, sid: str) -> Watched:
        """Somebody wants it paused; its workspace is a volume claim."""
        old = self.watched[sid]
        spec = {**old.spec, "mode": "Paused"}
        paused = Watched(old.metadata, spec, {**old.status, "workspace": "claim"})
        self.change(sid, paused)
        return paused

    def delete(self, sid: str) -> None:
        """The Conversation is gone."""
        old = self.watched.pop(sid)
        self._tell(old, None)

    def change(self, sid: str, new: Watched) -> None:
        """The watch says so."""
        old, self.watched[sid] = self.watched.get(sid), new
        self._tell(old, new)

    def _tell(self, old: Watched | None, new: Watched | None) -> None:
        for listener in self.listeners:
            listener(old, new)

    async def aclose(self) -> None:
        for nested in self.nested.values():
            await nested.stop()

    # --- what mirror and drainer need of an installation

    def select(self) -> list[Watched]:
        return list(self.watched.values())

    def find(self, sid: str) -> Watched | None:
        return self.watched.get(sid)

    def is_running(self, watched: Watched) -> bool:
        return statuses.is_running(watched)

    def on_change(self, callback: Changed) -> None:
        self.listeners.append(callback)

    @contextlib.asynccontextmanager
    async def draining_runtime(
        self, watched: Watched, seconds: float
    ) -> AsyncIterator[OpenHandsV0]:
        async with deadline(seconds, "request"):
            url = str(watched.status["url"])
            async with OpenHandsV0(watched.pod_uid or "", url, KEY) as server:
                yield server

    async def mark_drained(self, watched: Watched, pod_uid: str) -> None:
        meta = WatchedMeta(
            watched.metadata.name,
            uid=watched.metadata.uid,
            annotations={DRAINED_POD: pod_uid},
        )
        self.change(watched.session_id, Watched(meta, watched.spec, watched.status))

    def marks(self, sid: str) -> str | None:
        """The pod that was reported as drained."""
        return self.watched[sid].metadata.annotations.get(DRAINED_POD)


async def start_nested(sid: str) -> Nested:
    """A nested server in whose volume the conversation exists and runs."""
    nested = Nested(sid)
    nested.volume.created = True
    await nested.start("127.0.0.1", free_port(), KEY)
    nested.status = "RUNNING"
    return nested


class Store:
    """The outer server's files, and what its routes would answer from them."""

    def __init__(self, folder: Path) -> None:
        self.config = OpenHandsConfig(file_store="local", file_store_path=str(folder))
        self.files: FileStore = get_file_store("local", str(folder))
        self.folder = folder

    def events(self, sid: str, user: str | None = None) -> list[dict[str, Any]]:
        """What /events and the replay give."""
        found = EventStore(sid, self.files, user).search_events()
        return [event_to_dict(event) for event in found]

    def ids(self, sid: str, user: str | None = None) -> list[int]:
        return [event["id"] for event in self.events(sid, user)]

    async def metadata_store(self, user: str | None = None) -> FileConversationStore:
        return await FileConversationStore.get_instance(self.config, user)

    async def save(self, sid: str, **fields: Any) -> None:
        metadata = ConversationMetadata(conversation_id=sid, selected_repository=None, **fields)
        await (await self.metadata_store()).save_metadata(metadata)

    async def metadata(self, sid: str) -> ConversationMetadata:
        """OpenHands' local store writes in place: what is half written is read again."""
        store = await self.metadata_store()
        for _ in range(20):
            with contextlib.suppress(json.JSONDecodeError):
                return await store.get_metadata(sid)
            await asyncio.sleep(0.05)
        return await store.get_metadata(sid)


@contextlib.asynccontextmanager
async def mirroring(
    declared: Declared, store: Store, wrap: Callable[[FileStore], FileStore] = lambda files: files
) -> AsyncIterator[Mirror]:
    """A server's mirror, at work."""
    mirror = Mirror(declared, wrap(store.files), store.metadata_store)
    await mirror.start()
    try:
        yield mirror
    finally:
        await mirror.stop()


async def wait_ids(store: Store, sid: str, count: int, user: str | None = None) -> None:
    """Return when exactly so many events are there, under the ids 0, 1, 2 …"""

    async def all_there() -> bool:
        try:
            return store.ids(sid, user) == list(range(count))
        except ValueError:
            return False  # A test has broken a file, and it is not mended yet.

    await eventually(all_there, SECONDS, f"{count} events")


def add(nested: Nested, count: int) -> None:
    """So many more events."""
    for _ in range(count):
        nested.add_event()


class Failing(FileStore):
    """A store that is away for a while, or slow."""

    def __init__(self, inner: FileStore, *, write_seconds: float = 0.0) -> None:
        self.inner = inner
        self.is_away = not write_seconds
        self.refused = 0
        self.write_seconds = write_seconds

    def write(self, path: str, contents: str | bytes) -> None:
        if self.is_away and path.endswith("/7.json"):
            self.refused += 1
            raise OSError("no space left on device")
        time.sleep(self.write_seconds)
        self.inner.write(path, contents)

    def read(self, path: str) -> str:
        return str(self.inner.read(path))

    def list(self, path: str) -> list[str]:
        return list(self.inner.list(path))

    def delete(self, path: str) -> None:
        self.inner.delete(path)
