"""
Keys that want a look, each looked at by one worker at a time.

The semantics are client-go's: a key added while it waits is one key; a key added while a worker
has it runs once more afterwards.  All deadlines lie in one heap with one timer.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

BASE_DELAY_SECONDS = 0.05
MAX_DELAY_SECONDS = 60.0


class WorkQueue(Generic[K]):
    """
    Not thread-safe; everything happens in one event loop.

    `get` hands out a key that nobody else holds until `done(key)`; `shut_down` makes every waiting
    and later `get` return None once the keys that are ready have been handed out or dropped.
    """

    def __init__(self) -> None:
        self._ready: deque[K] = deque()
        self._dirty: set[K] = set()
        self._held: set[K] = set()
        self._deadlines: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._sequence = 0
        self._failures: dict[K, int] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._closed = False

    def __len__(self) -> int:
        """How many keys are ready and not yet handed out."""
        return len(self._ready)

    @property
    def held(self) -> int:
        """How many keys workers have now."""
        return len(self._held)

    def add(self, key: K) -> None:
        """Look at `key` as soon as a worker is free."""
        if self._closed or key in self._dirty:
            return
        self._dirty.add(key)
        if key not in self._held:
            self._push(key)

    def add_after(self, key: K, seconds: float) -> None:
        """Look at `key` in `seconds`; of several such wishes the earliest counts."""
        if seconds <= 0:
            return self.add(key)
        when = asyncio.get_running_loop().time() + seconds
        if self._closed or self._deadlines.get(key, when + 1) <= when:
            return None
        self._deadlines[key] = when
        self._sequence += 1
        heapq.heappush(self._heap, (when, self._sequence, key))
        return self._arm()

    def retry(self, key: K, at_least_seconds: float = 0.0) -> float:
        """Look at `key` after its back-off: 50 ms doubling to 60 s.  Returns the delay."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = max(
            at_least_seconds, min(MAX_DELAY_SECONDS, BASE_DELAY_SECONDS * 2.0 ** min(failures, 20))
        )
        self.add_after(key, delay)
        return delay

    def forget(self, key: K) -> None:
        """The key is well again: its back-off starts anew."""
        self._failures.pop(key, None)

    async def get(self) -> K | None:
        """The next key, held until `done`; None when the queue was shut down."""
        while not self._ready:
            if self._closed:
                return None
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if waiter.done() and not waiter.cancelled():
                    self._wake()  # It was meant for somebody who can use it.
                raise
        key = self._ready.popleft()
        self._dirty.discard(key)
        self._held.add(key)
        return key

    def done(self, key: K) -> None:
        """The worker is finished with `key`; if it was added meanwhile, it is ready again."""
        self._held.discard(key)
        if key in self._dirty:
            self._push(key)

    def shut_down(self) -> None:
        """Take nothing more in; drop what is not yet handed out."""
        self._closed = True
        self._ready.clear()
        self._dirty.clear()
        self._deadlines.clear()
        if self._timer is not None:
            self._timer.cancel()
        while self._waiters:
            self._wake()

    def _push(self, key: K) -> None:
        self._ready.append(key)
        self._wake()

    def _wake(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        if self._heap:
            self._timer = asyncio.get_running_loop().call_at(self._heap[0][0], self._ring)

    def _ring(self) -> None:
        now = asyncio.get_running_loop().time()
        while self._heap and self._heap[0][0] <= now:
            when, _, key = heapq.heappop(self._heap)
            if self._deadlines.get(key) == when:
                del self._deadlines[key]
                self.add(key)
        self._arm()
