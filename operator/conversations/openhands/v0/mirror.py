"""
The pull mirror: every running conversation's events, copied into the outer server's file store.

OpenHands answers /events, /trajectory, replays and lists from there and asks no manager; a pod's own
copy goes when the pod is paused.  Several servers may mirror the same conversation: they write the
same files.
"""

import asyncio
import itertools
import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, suppress
from typing import Protocol
from weakref import WeakSet, WeakValueDictionary

from openhands.storage.files import FileStore

from conversations.client.watched import Watched
from conversations.core.errors import ConversationError
from conversations.openhands.v0.follower import Follower, Nested, is_followed
from conversations.openhands.v0.history import History, Stopped
from conversations.openhands.v0.metadata import ConversationStores, MetadataKeeper, Stores
from conversations.openhands.v0.pages import MIN_SECONDS, Pace

logger = logging.getLogger(__name__)

PULLS_AT_ONCE = 16
THREADS = 8
ROUND_PAGES = 10
ROUND_SECONDS = 60.0
PAGE_SECONDS = 0.25
"""Between two pages: the nested server answers 10 requests a second to one address, all callers in one."""
STOP_SECONDS = 5.0

Changed = Callable[[Watched | None, Watched | None], None]


class Installation(Protocol):
    """What is needed of it: conversations, and the servers in their pods."""

    def select(self) -> Iterable[Watched]: ...
    def find(self, sid: str) -> Watched | None: ...
    def is_running(self, watched: Watched) -> bool: ...
    def on_change(self, callback: Changed) -> None: ...
    def draining_runtime(
        self, watched: Watched, seconds: float
    ) -> AbstractAsyncContextManager[Nested]: ...


class Mirror:
    """Follows what runs, one task each, few of them at work at a time."""

    def __init__(
        self,
        installation: Installation,
        file_store: FileStore,
        conversation_stores: ConversationStores,
    ) -> None:
        self._installation = installation
        self._file_store = file_store
        self._stores = Stores(conversation_stores)
        self._following: dict[str, _Following] = {}
        self._made: WeakSet[_Following] = WeakSet()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._tasks: set[asyncio.Task[None]] = set()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="mirror")
        self._slots = asyncio.Semaphore(PULLS_AT_ONCE)
        self._is_open = False

    async def start(self) -> None:
        """Follow what runs now, and whatever comes."""
        self._is_open = True
        self._installation.on_change(self._look)
        for watched in self._installation.select():
            self._look(None, watched)

    async def stop(self) -> None:
        """Write nothing more in this process; the next one goes on where the history ends."""
        self._is_open = False
        for following in self._following.values():
            following.end()
        if tasks := self._tasks.copy():
            _, late = await asyncio.wait(tasks, timeout=STOP_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        self._threads.shutdown(wait=False, cancel_futures=True)

    def poke(self, sid: str) -> None:
        """Something is about to happen there: look soon."""
        if following := self._following.get(sid):
            following.poke()

    async def forget(self, sid: str) -> None:
        """Return when nothing of this session is being written, nor will be for this conversation."""
        self._following.pop(sid, None)
        for following in [known for known in self._made if known.follower.sid == sid]:
            following.end()
            await following.follower.close()
            await following.keeper.close()

    async def catch_up(self, watched: Watched, nested: Nested) -> None:
        """Write all that the pod has to tell, once its agent is stopped."""
        following = self._following.get(watched.session_id)
        if following is None or following.follower.pod_uid != watched.pod_uid:
            following = self._make(watched)
        follower = following.follower
        async with follower.lock:
            await self._pull_pages(follower, nested, settled=True)
            await following.keeper.keep(nested, last=True)

    def _look(self, _: Watched | None, new: Watched | None) -> None:
        """Start or end following; `None` for what is gone is noticed by its own task."""
        if new is None or not self._is_open:
            return
        watched = self._installation.find(new.session_id)
        known = self._following.get(new.session_id)
        if known is not None and not self._is_followed(known.follower):
            known.end()
            del self._following[new.session_id]
            known = None
        if known is None and watched is not None and self._should_follow(watched):
            self._following[new.session_id] = following = self._make(watched)
            task = asyncio.create_task(self._follow(following))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _should_follow(self, watched: Watched) -> bool:
        return self._installation.is_running(watched) and is_followed(watched)

    def _is_followed(self, follower: Follower) -> bool:
        """Whether it is still this pod that serves this conversation."""
        now = self._installation.find(follower.sid)
        return now is not None and follower.is_of(now) and self._installation.is_running(now)

    def _make(self, watched: Watched) -> "_Following":
        history = History(self._file_store, watched.session_id, watched.user)
        follower = Follower(watched, history, self._lock(watched.session_id), self._threads)
        following = _Following(follower, MetadataKeeper(follower, self._stores))
        self._made.add(following)
        return following

    def _lock(self, sid: str) -> asyncio.Lock:
        return self._locks.setdefault(sid, asyncio.Lock())

    async def _follow(self, following: "_Following") -> None:
        follower = following.follower
        while not following.is_ended and self._is_followed(follower):
            async with self._slots:
                seconds = await self._round(following)
            await following.sleep(seconds)
        if self._following.get(follower.sid) is following:
            del self._following[follower.sid]

    async def _round(self, following: "_Following") -> float:
        """One look at the pod; seconds until the next.  Whatever goes wrong, there is a next."""
        pace, follower = following.pace, following.follower
        try:
            async with asyncio.timeout(ROUND_SECONDS):
                came = await self._pull_round(following)
        except Stopped:
            following.end()
            return 0.0
        except (
            Exception
        ) as error:  # The store's and the pod's errors alike: the events are still there.
            if not pace.has_failed:
                logger.warning("history of %r: %s", follower.sid, explain(error))
            return pace.failed()
        return pace.busy() if came else pace.quiet(len(self._following))

    async def _pull_round(self, following: "_Following") -> bool:
        follower = following.follower
        watched = self._installation.find(follower.sid)
        if watched is None or not follower.is_of(watched):
            return False
        async with self._installation.draining_runtime(watched, ROUND_SECONDS) as nested:
            async with follower.lock:
                before = follower.facts
                await self._pull_pages(follower, nested)
                await following.keeper.keep(nested)
                return follower.facts != before

    async def _pull_pages(
        self, follower: Follower, nested: Nested, *, settled: bool = False
    ) -> None:
        """All pages if the pod has `settled`, and else as many as are one conversation's share."""
        for number in itertools.count(1):
            more = await self._pull(follower, nested, settled=settled)
            if not more or (number == ROUND_PAGES and not settled):
                return
            await asyncio.sleep(PAGE_SECONDS)

    async def _pull(self, follower: Follower, nested: Nested, *, settled: bool = False) -> bool:
        now = self._installation.find(follower.sid)
        if now is None or now.metadata.uid != follower.conversation_uid:
            raise Stopped
        return await follower.pull(nested, settled=settled)


class _Following:
    """A follower's task: its pace, and how to end or hurry it."""

    def __init__(self, follower: Follower, keeper: MetadataKeeper) -> None:
        self.follower = follower
        self.keeper = keeper
        self.pace = Pace()
        self.is_ended = False
        self._poked = asyncio.Event()

    def end(self) -> None:
        self.is_ended = True
        self._poked.set()

    def poke(self) -> None:
        self.pace.busy()
        self._poked.set()

    async def sleep(self, seconds: float) -> None:
        """For `seconds`, or when poked for as long as two looks must lie apart."""
        least = min(seconds, MIN_SECONDS)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._poked.wait()
        if self._poked.is_set() and not self.is_ended:
            self._poked.clear()
            await asyncio.sleep(least)


def explain(error: Exception) -> str:
    """For the log: our own errors hold no secrets, others may."""
    return str(error) if isinstance(error, ConversationError) else type(error).__name__
