"""Brings the events of one pod into the history of its conversation."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any, Protocol

from conversations.client.watched import Watched
from conversations.openhands.v0.facts import Facts
from conversations.openhands.v0.history import History, Mark, Stopped
from conversations.openhands.v0.pages import event_id, take
from conversations.openhands.v0.sids import check_sid
from conversations.runtime.openhands_v0 import AnswerTooLarge

PAGE_EVENTS = 100
"""The most that a nested server gives at once."""
GAP_SECONDS = 5.0
"""For how long a missing event may yet come."""
CLOSE_SECONDS = 10.0
"""For a write under way, on a store that hangs."""


class Nested(Protocol):
    """What is needed of runtime.openhands_v0.OpenHandsV0."""

    async def get_conversation(self, sid: str) -> dict[str, Any] | None: ...
    async def stop(self, sid: str) -> None: ...
    async def get_events(self, sid: str, start_id: int, limit: int) -> tuple[list[Any], bool]: ...


class Follower:
    """
    One pod's events, from where the history ends.

    `lock` is held by whoever pulls; the lock is the session's, so the next pod's follower begins
    when this one's last write is done.
    """

    def __init__(
        self, watched: Watched, history: History, lock: asyncio.Lock, threads: Executor
    ) -> None:
        self.sid = watched.session_id
        self.user_id = watched.user
        self.conversation_uid = watched.metadata.uid
        self.pod_uid = watched.pod_uid
        self.lock = lock
        self._history = history
        self._threads = threads
        self._mark: Mark | None = None
        self._next_id = 0
        self._limit = PAGE_EVENTS
        self._gap: tuple[int, float] = (-1, 0.0)
        self._facts = Facts()
        self._closed = False
        self._writing: asyncio.Future[Any] | None = None

    async def close(self) -> None:
        """Return when nothing is being written; nothing more will be."""
        self._closed = True
        if self._writing is not None:
            await asyncio.wait({self._writing}, timeout=CLOSE_SECONDS)

    def is_of(self, watched: Watched) -> bool:
        """Whether this is the same conversation, on the same pod."""
        return (watched.metadata.uid, watched.pod_uid) == (self.conversation_uid, self.pod_uid)

    @property
    def is_closed(self) -> bool:
        return self._closed

    @property
    def facts(self) -> Facts:
        """What the events say in all, those of earlier pods' histories included."""
        spent = self._facts.spent
        if self._mark is None or spent is None:
            return self._facts
        return replace(self._facts, spent=self._mark.spent + spent)

    async def pull(self, nested: Nested, *, settled: bool = False) -> bool:
        """
        Write the next page; whether another one waits behind it.  Stopped once this is closed.

        `settled` says that the pod writes no more: an event that is missing will not come.
        """
        if self._mark is None and not await self._locate(nested, settled):
            return False
        assert self._mark is not None
        start = self._next_id - self._mark.offset
        try:
            page, more = await nested.get_events(self.sid, start, self._limit)
        except AnswerTooLarge:
            return await self._pull_less(start)
        self._limit = min(PAGE_EVENTS, self._limit * 2)
        events = self._take(page, start, settled or more)
        await self._append(events)
        return more and bool(events)

    async def _locate(self, nested: Nested, settled: bool) -> bool:
        page, more = await nested.get_events(self.sid, 0, 1)
        first = self._take(page[:1], 0, settled or more)
        if not first:
            return False
        locating = self._run(self._history.locate, str(first[0].get("timestamp"))[:64])
        self._mark, self._next_id, self._facts = await locating
        return True

    def _take(self, page: list[Any], start: int, settled: bool) -> list[dict[str, Any]]:
        events = take(page, start, settled=settled)
        if len(events) == len(page):
            return events
        missing = events[-1]["id"] + 1 if events else start
        if self._gap[0] != missing:
            self._gap = (missing, time.monotonic())
        if time.monotonic() - self._gap[1] < GAP_SECONDS:
            return events
        return take(page, start, settled=True)

    async def _pull_less(self, start: int) -> bool:
        if self._limit > 1:
            self._limit //= 2
        else:
            # Not even one: what stands for an event that is too large needs no more than its id.
            await self._append([{"id": start}])
        return True

    async def _append(self, events: list[dict[str, Any]]) -> None:
        if not events:
            return
        assert self._mark is not None
        offset, stop = self._mark.offset, threading.Event()
        try:
            await self._run(
                self._history.append, events, offset, lambda: not (self._closed or stop.is_set())
            )
        except asyncio.CancelledError:
            stop.set()  # A thread cannot be cancelled: it stops before the next file.
            raise
        self._next_id = event_id(events[-1]) + 1 + offset
        self._facts = self._facts.after(events)

    async def _run(self, work: Callable[..., Any], *arguments: Any) -> Any:
        if self._closed:  # While the pod was asked: `close` has returned, so a mark would stay.
            raise Stopped
        loop = asyncio.get_running_loop()
        self._writing = loop.run_in_executor(self._threads, work, *arguments)
        return await asyncio.shield(self._writing)


def is_followed(watched: Watched) -> bool:
    """Whether its history has a place: sid and user become parts of file names."""
    user = watched.user or ""
    if "\0" in user or any(part in (".", "..") for part in user.split("/")):
        return False
    try:
        check_sid(watched.session_id)
    except ValueError:
        return False
    return True
