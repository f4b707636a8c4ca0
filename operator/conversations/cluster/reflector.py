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
from typing import Generic, TypeVar

import msgspec

from conversations.cluster.connection import (
    JSON,
    METADATA,
    METADATA_LIST,
    Connection,
    Expired,
    backoff_sleep,
)
from conversations.cluster.wire import (
    Bare,
    ErrorStatus,
    Event,
    Page,
    RawPage,
    Resource,
    number,
    version_of,
)
from conversations.core.errors import ApiUnavailable, ConversationError

logger = logging.getLogger(__name__)

PAGE_SIZE = 500
INACTIVITY_SECONDS = 90.0
"""Bookmarks come about every minute, so a healthy watch is never silent for this long."""
STEADY_SECONDS = 5.0
"""A watch that lived this long was a good one; a shorter one is followed by a pause."""
GIVE_UP_AFTER = 3
"""Failures in a row after which the version we watch from is mistrusted, and all is listed anew."""


T = TypeVar("T", bound=Resource)
OnChange = Callable[[T | None, T | None], None]


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
        self.failing_since: float | None = None
        self.inactivity_seconds = INACTIVITY_SECONDS
        self._connection = connection
        self._path = path
        self._query = {"labelSelector": label_selector} if label_selector else {}
        self._accept = (METADATA_LIST, METADATA) if metadata_only else (JSON, JSON)
        self._on_change = on_change
        self._resource_version = ""
        self._stale = True
        self._gone: set[str] = set()
        self._following: asyncio.Timeout | None = None
        self._page = msgspec.json.Decoder(Page[kind])  # type: ignore[valid-type]
        self._object: msgspec.json.Decoder[T] = msgspec.json.Decoder(kind)
        self._event = msgspec.json.Decoder(Event)

    def get(self, name: str) -> T | None:
        return self.objects.get(name)

    def observe(self, new: T) -> None:
        """
        Take in an object that the API server just answered a write of ours with.

        So the next pass sees what this one did.  An answer that the watch has overtaken is dropped.
        """
        old = self.objects.get(new.metadata.name)
        version = version_of(new)
        if old is None and version <= number(self._resource_version):
            return  # The watch is past this version and shows nothing: it is already deleted.
        if old is not None and version <= version_of(old):
            return
        self._put(new)

    def forget(self, name: str, uid: str) -> None:
        """Drop an object that the API server just said is gone, and what the watch still tells of it."""
        old = self.objects.get(name)
        if old is not None and old.metadata.uid == uid:
            self._gone.add(uid)
            self._drop(name)

    async def run(self) -> None:
        """Keep the copy true until cancelled."""
        attempt = 0
        while True:
            began, retry_after = time.monotonic(), None
            try:
                if self._stale:
                    await self._list()
                if await self._was_cut_short():
                    continue
            except Expired:
                self._stale = True
            except (ConversationError, msgspec.DecodeError) as error:
                logger.warning("watch of %s: %s", self._path, error)
                self.failing_since = self.failing_since or time.monotonic()
                retry_after = error.retry_after if isinstance(error, ApiUnavailable) else None
                self._stale = self._stale or attempt + 1 >= GIVE_UP_AFTER
            attempt = 0 if time.monotonic() - began >= STEADY_SECONDS else attempt + 1
            if attempt or retry_after:
                await backoff_sleep(max(0, attempt - 1), random.random(), retry_after)

    def relist(self) -> None:
        """
        Have `run` compare with a fresh LIST and watch on from there.

        Never beside the watch: a LIST that is older than what the watch has brought would undo it.
        """
        self._stale = True
        if self._following is not None and not self._following.expired():
            self._following.reschedule(0.0)

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
            page = self._decode_page(payload)
            seen.update((item.metadata.name, item) for item in page.items or [])
            token = page.metadata.continue_
            if not token:
                break
            await asyncio.sleep(0)
        self._replace(seen, number(page.metadata.resource_version))
        self._resource_version = page.metadata.resource_version
        self._stale = False
        self.synced.set()

    def _replace(self, seen: dict[str, T], version: int) -> None:
        # What `observe` took in while the pages came is newer than they are, and stays; unless the
        # API server went back in time, as it does when it is restored from a backup.
        rewound = version < number(self._resource_version)
        for name, old in list(self.objects.items()):
            if name not in seen and (rewound or version_of(old) <= version):
                self._drop(name)
        for new in seen.values():
            if new.metadata.uid in self._gone:
                continue
            if self._is_news(new) or (rewound and self._version(new) != version_of(new)):
                self._put(new)
        self._gone &= {item.metadata.uid for item in seen.values()}

    def _decode_page(self, payload: bytes) -> Page[T]:
        try:
            page: Page[T] = self._page.decode(payload)
        except msgspec.ValidationError:
            raw = msgspec.json.decode(payload, type=RawPage)
            items = [self._decode(item) or self._known(item) for item in raw.items or []]
            page = Page(raw.metadata, [item for item in items if item is not None])
        return page

    def _decode(self, payload: msgspec.Raw) -> T | None:
        """None for an object that we cannot read: one such must not blind us to all others."""
        try:
            return self._object.decode(payload)
        except msgspec.ValidationError as error:
            bare = msgspec.json.decode(payload, type=Bare)
            logger.error(
                "%s/%s cannot be read, and is left as known so far: %s",
                self._path,
                bare.metadata.name,
                error,
            )
            return None

    def _known(self, payload: msgspec.Raw) -> T | None:
        bare = msgspec.json.decode(payload, type=Bare)
        old = self.objects.get(bare.metadata.name)
        return old if old is not None and old.metadata.uid == bare.metadata.uid else None

    def _version(self, new: T) -> int:
        old = self.objects.get(new.metadata.name)
        return version_of(old) if old is not None else 0

    def _put(self, new: T) -> None:
        name = new.metadata.name
        old = self.objects.get(name)
        self.objects[name] = new
        self._on_change(old, new)

    async def _was_cut_short(self) -> bool:
        """Watch until the stream ends; True where `relist` ended it."""
        try:
            async with asyncio.timeout(None) as self._following:
                await self._follow()
        except TimeoutError:
            return True
        finally:
            self._following = None
        return False

    async def _follow(self) -> None:
        query = {
            **self._query,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._resource_version,
            "timeoutSeconds": str(random.randint(300, 600)),
        }
        async with self._connection.stream(
            self._path,
            query=query,
            accept=self._accept[1],
            inactivity_seconds=self.inactivity_seconds,
        ) as lines:
            self.failing_since = None
            async for line in lines:
                self._take(self._event.decode(line))

    def _take(self, event: Event) -> None:
        if event.type == "ERROR":
            error = msgspec.json.decode(event.object, type=ErrorStatus)
            raise Expired(error.message) if error.code == 410 else ApiUnavailable(error.message)
        new = None if event.type == "BOOKMARK" else self._decode(event.object)
        if new is None:
            bare = msgspec.json.decode(event.object, type=Bare).metadata
            self._resource_version = bare.resource_version
            if event.type == "DELETED":
                self._drop(bare.name)
            return
        self._resource_version = new.metadata.resource_version
        if event.type == "DELETED":
            self._gone.discard(new.metadata.uid)
            # Not `_is_news`: the answer to a DELETE that ends an object at once has this very version.
            if version_of(new) >= self._version(new):
                self._drop(new.metadata.name)
        elif self._is_news(new) and new.metadata.uid not in self._gone:
            self._put(new)

    def _drop(self, name: str) -> None:
        old = self.objects.pop(name, None)
        if old is not None:
            self._on_change(old, None)

    def _is_news(self, new: T) -> bool:
        """False for the echo of an `observe`, and for events older than it: a successor of the same name."""
        return version_of(new) > self._version(new)
