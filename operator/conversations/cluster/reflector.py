"""
A local copy of some objects, kept true by LIST and WATCH.

kopf's watch loses deletes after a 410, says nothing about being synced and keeps whole objects;
facts with figures are in docs/decisions/0003-own-reflector.md.  This one lists in pages, replaces
the copy with synthesised deletes, watches with bookmarks, and gives up a silent connection.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from conversations.cluster.connection import (
    JSON,
    METADATA,
    METADATA_LIST,
    Connection,
    Expired,
    backoff_sleep,
)
from conversations.core.errors import ApiUnavailable, ConversationError

logger = logging.getLogger(__name__)

PAGE_SIZE = 500
INACTIVITY_SECONDS = 90.0
"""Bookmarks come about every minute, so a healthy watch is never silent for this long."""


class _Meta(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def uid(self) -> str: ...
    @property
    def resource_version(self) -> str: ...


class Resource(Protocol):
    """What the reflector needs of an object."""

    @property
    def metadata(self) -> _Meta: ...


T = TypeVar("T", bound=Resource)
OnChange = Callable[[T | None, T | None], None]


class _ListMeta(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")


class _Page(msgspec.Struct, Generic[T]):
    metadata: _ListMeta
    items: list[T] | None = None  # PartialObjectMetadataList says null for none.


class _Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


class _Bookmark(msgspec.Struct):
    metadata: _ListMeta


class _Error(msgspec.Struct):
    code: int = 0
    message: str = ""


class Reflector(Generic[T]):
    """
    The objects of one collection in one namespace, by name.

    `on_change(old, new)` is called, synchronously and after the copy changed, for every change;
    None stands for "not there".  `synced` is set once a complete LIST was taken in.
    """

    def __init__(
        self,
        connection: Connection,
        path: str,
        kind: type[T],
        *,
        label_selector: str = "",
        metadata_only: bool = False,
        on_change: OnChange[T] = lambda old, new: None,
    ) -> None:
        self.objects: dict[str, T] = {}
        self.synced = asyncio.Event()
        self.last_contact = time.monotonic()
        self.failing_since: float | None = None
        self._connection = connection
        self._path = path
        self._query = {"labelSelector": label_selector} if label_selector else {}
        self._accept = (METADATA_LIST, METADATA) if metadata_only else (JSON, JSON)
        self._on_change = on_change
        self._resource_version = ""
        self._page = msgspec.json.Decoder(_Page[kind])  # type: ignore[valid-type]
        self._object: msgspec.json.Decoder[T] = msgspec.json.Decoder(kind)
        self._event = msgspec.json.Decoder(_Event)

    def get(self, name: str) -> T | None:
        return self.objects.get(name)

    def observe(self, new: T) -> None:
        """
        Take in an object that the API server just answered a write of ours with.

        So the next pass sees what this one did.  An answer that the watch has overtaken is dropped.
        """
        old = self.objects.get(new.metadata.name)
        version = int(new.metadata.resource_version)
        if old is None and version <= int(self._resource_version or 0):
            return  # The watch is past this version and shows nothing: it is already deleted.
        if old is not None and version <= int(old.metadata.resource_version):
            return
        self._put(new)

    def forget(self, name: str, uid: str) -> None:
        """Drop an object that the API server just said is gone."""
        old = self.objects.get(name)
        if old is not None and old.metadata.uid == uid:
            del self.objects[name]
            self._on_change(old, None)

    async def run(self) -> None:
        """Keep the copy true until cancelled."""
        attempt = 0
        while True:
            try:
                if not self._resource_version:
                    await self._list()
                await self._watch()
                attempt = 0
            except Expired:
                self._resource_version = ""
                await backoff_sleep(0, random.random())
            except (ConversationError, msgspec.DecodeError) as error:
                logger.warning("watch of %s: %s", self._path, error)
                self.failing_since = self.failing_since or time.monotonic()
                retry_after = error.retry_after if isinstance(error, ApiUnavailable) else None
                await backoff_sleep(attempt, random.random(), retry_after)
                attempt += 1

    async def relist(self) -> None:
        """Compare with a fresh LIST now, while the watch goes on.  Raises our errors."""
        await self._list()

    async def _list(self) -> None:
        seen: dict[str, T] = {}
        token = ""
        while True:
            query = {**self._query, "limit": str(PAGE_SIZE)}
            if token:
                query["continue"] = token
            payload = await self._connection.request(
                "GET", self._path, query=query, accept=self._accept[0]
            )
            page: _Page[T] = self._page.decode(payload)
            seen.update((item.metadata.name, item) for item in page.items or [])
            self.last_contact = time.monotonic()
            token = page.metadata.continue_
            if not token:
                break
            await asyncio.sleep(0)
        self._replace(seen)
        self._resource_version = page.metadata.resource_version
        self.synced.set()

    def _replace(self, seen: dict[str, T]) -> None:
        for name in self.objects.keys() - seen.keys():
            old = self.objects.pop(name)
            self._on_change(old, None)
        for new in seen.values():
            old_version = self._version(new.metadata.name)
            if old_version != new.metadata.resource_version:
                self._put(new)

    def _version(self, name: str) -> str:
        old = self.objects.get(name)
        return old.metadata.resource_version if old is not None else ""

    def _put(self, new: T) -> None:
        name = new.metadata.name
        old = self.objects.get(name)
        self.objects[name] = new
        self._on_change(old, new)

    async def _watch(self) -> None:
        query = {
            **self._query,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._resource_version,
            "timeoutSeconds": str(random.randint(300, 600)),
        }
        async with self._connection.stream(
            self._path, query=query, accept=self._accept[1], inactivity_seconds=INACTIVITY_SECONDS
        ) as lines:
            self.failing_since = None
            async for line in lines:
                self.last_contact = time.monotonic()
                self._take(self._event.decode(line))

    def _take(self, event: _Event) -> None:
        if event.type == "ERROR":
            error = msgspec.json.decode(event.object, type=_Error)
            raise Expired(error.message) if error.code == 410 else ApiUnavailable(error.message)
        if event.type == "BOOKMARK":
            bookmark = msgspec.json.decode(event.object, type=_Bookmark)
            self._resource_version = bookmark.metadata.resource_version
            return
        new = self._object.decode(event.object)
        self._resource_version = new.metadata.resource_version
        if not self._is_news(new):
            return
        if event.type == "DELETED":
            old = self.objects.pop(new.metadata.name, None)
            self._on_change(old or new, None)
        else:
            self._put(new)

    def _is_news(self, new: T) -> bool:
        """False for the echo of an `observe`, and for events older than it: a successor of the same name."""
        return int(new.metadata.resource_version) > int(self._version(new.metadata.name) or 0)


def decode(payload: bytes, kind: type[Any]) -> Any:
    """One object out of an answer of the API server."""
    return msgspec.json.decode(payload, type=kind)
