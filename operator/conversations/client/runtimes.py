"""Open runtimes by pod uid: connections and keys never outlive the pod that they were made for."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from conversations.api.conversation import Conversation
from conversations.client.access import Access, Route
from conversations.client.conditions import require_pod, require_runtime
from conversations.client.keys import SessionKeys
from conversations.core.errors import (
    ConversationNotReady,
    DeadlineExceeded,
    RuntimeUnavailable,
    Unauthorized,
)
from conversations.runtime.deadline import Deadline

MAX_IDLE = 64
"""Runtimes that are kept open although nobody is using them; port-forward has a process for each."""

LOOK_SECONDS = 5.0
"""A look at the pod is good for this long: as long as the operator takes to report that it is gone."""

BROKEN = (Unauthorized, RuntimeUnavailable, DeadlineExceeded, asyncio.CancelledError)
"""After these the connection, the key or the tunnel may be no good."""

Reload = Callable[[Conversation, Deadline], Awaitable[Conversation]]
Require = Callable[[Conversation], None]


class Runtime(Protocol):
    """What speaks to one pod with one key."""

    async def check_key(self, *, timeout_seconds: float) -> None:
        """Unauthorized unless the pod takes the key."""

    async def aclose(self) -> None: ...


R = TypeVar("R", bound=Runtime)


@dataclass(frozen=True)
class RuntimeKind(Generic[R]):
    """A protocol that runtimes speak: how to make its client, and what says that one is no good."""

    open: Callable[[str, str, str], R]
    """From pod uid, url and session key."""
    broken: tuple[type[BaseException], ...] = BROKEN
    max_idle: int = MAX_IDLE


@dataclass(eq=False)
class _Entry(Generic[R]):
    pod_uid: str
    conversation_uid: str
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    server: R | None = None
    route: Route | None = None
    looked_time: float = 0.0
    users: int = 0

    async def aclose(self) -> None:
        server, route = self.server, self.route
        self.server = self.route = None
        if server is not None:
            await server.aclose()
        if route is not None:
            await route.aclose()


class _Replaced(Exception):
    """Live, the conversation has another pod than the watch had shown."""

    def __init__(self, by: Conversation) -> None:
        super().__init__()
        self.by = by


class Runtimes(Generic[R]):
    """Shared among the calls of one client."""

    def __init__(
        self, keys: SessionKeys, access: Access, reload: Reload, kind: RuntimeKind[R]
    ) -> None:
        self._keys = keys
        self._access = access
        self._reload = reload
        self._kind = kind
        self._entries: OrderedDict[str, _Entry[R]] = OrderedDict()
        self._closing: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def use(
        self, conversation: Conversation, until: Deadline, *, while_pausing: bool = False
    ) -> AsyncIterator[R]:
        """
        The conversation's runtime; ConversationNotReady unless it can serve a request now.

        With `while_pausing` for as long as it has a pod: that is for saving what is in it.
        """
        require = require_pod if while_pausing else require_runtime
        entry = await self._acquire(conversation, until, require)
        try:
            assert entry.server is not None
            yield entry.server
        except self._kind.broken:
            self._give_up(entry)
            raise
        finally:
            self._release(entry)

    async def _acquire(
        self, conversation: Conversation, until: Deadline, require: Require
    ) -> _Entry[R]:
        while True:
            require(conversation)
            entry = self._entry(conversation)
            entry.users += 1
            try:
                async with entry.lock:
                    if entry.server is None:
                        await self._open(entry, conversation, until, require)
                    else:
                        await _look_again(entry, conversation)
                return entry
            except _Replaced as replaced:
                self._release(entry)
                conversation = replaced.by
            except BaseException:
                self._give_up(entry)
                self._release(entry)
                raise

    def _entry(self, conversation: Conversation) -> _Entry[R]:
        pod_uid = conversation.status.pod_uid or ""
        entry = self._entries.setdefault(pod_uid, _Entry(pod_uid, conversation.metadata.uid))
        self._entries.move_to_end(pod_uid)
        return entry

    def forget(self, pod_uid: str) -> None:
        """The pod is gone: close as soon as nobody is using it."""
        if entry := self._entries.pop(pod_uid, None):
            self._tidy(entry)

    async def aclose(self) -> None:
        for entry in self._entries.values():
            self._close(entry)
        self._entries.clear()
        await asyncio.gather(*self._closing)

    async def _open(
        self, entry: _Entry[R], seen: Conversation, until: Deadline, require: Require
    ) -> None:
        try:
            await self._connect(entry, seen, until, require)
        except (Unauthorized, ConversationNotReady):
            # Key and status may have changed between two looks; if not, it is so.
            self._keys.forget(seen.metadata.uid)
            await self._connect(entry, seen, until, require)

    async def _connect(
        self, entry: _Entry[R], seen: Conversation, until: Deadline, require: Require
    ) -> None:
        # Live, because a watch that lags could send the key to whoever has the address now.
        conversation = await self._reload(seen, until)
        require(conversation)
        if conversation.status.pod_uid != seen.status.pod_uid:
            raise _Replaced(conversation)
        key = await self._keys.get_key(conversation, until)
        try:
            entry.looked_time = time.monotonic()
            entry.route = await self._access.open_route(conversation)
            entry.server = self._kind.open(entry.pod_uid, entry.route.url, key)
            await entry.server.check_key(timeout_seconds=until.seconds)
        except BaseException:
            await entry.aclose()
            raise

    def _give_up(self, entry: _Entry[R]) -> None:
        """Whatever broke, the next call looks at pod, key and way afresh."""
        if self._entries.get(entry.pod_uid) is entry:
            del self._entries[entry.pod_uid]
        self._keys.forget(entry.conversation_uid)

    def _release(self, entry: _Entry[R]) -> None:
        entry.users -= 1
        self._tidy(entry)

    def _tidy(self, entry: _Entry[R]) -> None:
        if self._entries.get(entry.pod_uid) is not entry and entry.users == 0:
            self._close(entry)
        while len(self._entries) > self._kind.max_idle:
            idle = next((uid for uid, e in self._entries.items() if e.users == 0), None)
            if idle is None:
                return
            self._close(self._entries.pop(idle))

    def _close(self, entry: _Entry[R]) -> None:
        task = asyncio.create_task(entry.aclose())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


async def _look_again(entry: _Entry[R], conversation: Conversation) -> None:
    now = time.monotonic()
    if entry.route is not None and now - entry.looked_time > LOOK_SECONDS:
        await entry.route.check(conversation)
        entry.looked_time = now
