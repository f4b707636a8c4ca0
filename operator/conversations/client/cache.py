"""
Every Conversation of the namespace, kept true by one watch and found without a request.

What this process wrote is seen at once: an answer of the API server goes in before the watch
brings it, and what was closed is out before the watch says so.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection

from conversations.client.watched import Watched
from conversations.cluster.connection import Connection
from conversations.cluster.paths import conversations
from conversations.cluster.reflector import Reflector
from conversations.core.names import object_name

PodGone = Callable[[Watched], None]
Listener = Callable[[Watched | None, Watched | None], None]
"""Told what a Conversation was and is: None before it was made, and after it is gone."""


class ConversationCache:
    """Lookups by session id and user in O(1), once `start` has returned."""

    def __init__(self, connection: Connection, namespace: str, on_pod_gone: PodGone) -> None:
        self._reflector = Reflector(
            connection, conversations(namespace), Watched, on_change=self._on_change
        )
        self._on_pod_gone = on_pod_gone
        self._by_session: defaultdict[str, set[str]] = defaultdict(set)
        self._by_user: defaultdict[str, set[str]] = defaultdict(set)
        self._by_installation: defaultdict[str, set[str]] = defaultdict(set)
        self._listeners: list[Listener] = []
        self._closed_uids: set[str] = set()
        self._waiters: defaultdict[str, set[asyncio.Future[None]]] = defaultdict(set)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return when the copy is complete; it is kept true until `stop`."""
        self._task = asyncio.create_task(self._reflector.run())
        synced = asyncio.create_task(self._reflector.synced.wait())
        try:
            await asyncio.wait({self._task, synced}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            synced.cancel()
        self._check_alive()

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def find(self, session_id: str) -> Watched | None:
        """The conversation of a session, unless it is being deleted."""
        found = self._visible(self._by_session.get(session_id, ()))
        if not found:
            return None
        own_name = object_name(session_id)
        # kubectl can make two of one session id: ours goes first, then the older one.
        return min(
            found,
            key=lambda item: (
                item.metadata.name != own_name,
                item.metadata.creation_timestamp or "",
                item.metadata.name,
            ),
        )

    def select(
        self,
        user: str | None,
        session_ids: Collection[str] | None,
        installation: str | None = None,
    ) -> list[Watched]:
        """All that match what is given, by name; an empty collection matches nothing."""
        if session_ids is not None:
            found = [item for sid in set(session_ids) if (item := self.find(sid)) is not None]
            chosen = [item for item in found if user is None or item.user == user]
        elif user is not None:
            chosen = self._visible(self._by_user.get(user, ()))
        elif installation is not None:
            chosen = self._visible(self._by_installation.get(installation, ()))
        else:
            chosen = self._visible(self._reflector.objects)
        if installation is not None:
            chosen = [item for item in chosen if item.installation == installation]
        return sorted(chosen, key=lambda item: item.metadata.name)

    def on_change(self, listener: Listener) -> None:
        """Call it at every change from now on; it must be quick."""
        self._listeners.append(listener)

    def observe(self, written: Watched) -> None:
        """Take in what the API server answered a request with."""
        self._reflector.observe(written)

    def hide(self, target: Watched) -> None:
        """Never show this one again: it was closed here, or the API server said that it is gone."""
        self._closed_uids.add(target.metadata.uid)
        self._wake(target.session_id)

    async def wait_change(self, session_id: str) -> None:
        """Return after the next change of a conversation of this session."""
        future = asyncio.get_running_loop().create_future()
        waiters = self._waiters[session_id]
        waiters.add(future)
        try:
            await future
        finally:
            waiters.discard(future)
            if not waiters and self._waiters.get(session_id) is waiters:
                del self._waiters[session_id]

    def _visible(self, names: Collection[str]) -> list[Watched]:
        self._check_alive()
        items = [self._reflector.objects[name] for name in names]
        return [
            item
            for item in items
            if not item.is_terminating and item.metadata.uid not in self._closed_uids
        ]

    def _check_alive(self) -> None:
        # A copy that nobody keeps true would be worse than none.
        if self._task is None or self._task.done():
            raise RuntimeError("the client is not open, or its watch ended") from (
                self._task.exception() if self._task and not self._task.cancelled() else None
            )

    def _on_change(self, old: Watched | None, new: Watched | None) -> None:
        if old is not None:
            self._unindex(old)
            if new is None or new.metadata.uid != old.metadata.uid:
                self._closed_uids.discard(old.metadata.uid)
            if old.pod_uid and (new is None or new.pod_uid != old.pod_uid):
                self._on_pod_gone(old)
        if new is not None:
            self._index(new)
        for session_id in {item.session_id for item in (old, new) if item is not None}:
            self._wake(session_id)
        for listener in self._listeners:
            listener(old, new)

    def _index(self, item: Watched) -> None:
        self._by_session[item.session_id].add(item.metadata.name)
        if item.user is not None:
            self._by_user[item.user].add(item.metadata.name)
        if item.installation is not None:
            self._by_installation[item.installation].add(item.metadata.name)

    def _unindex(self, item: Watched) -> None:
        _discard(self._by_session, item.session_id, item.metadata.name)
        if item.user is not None:
            _discard(self._by_user, item.user, item.metadata.name)
        if item.installation is not None:
            _discard(self._by_installation, item.installation, item.metadata.name)

    def _wake(self, session_id: str) -> None:
        for future in self._waiters.pop(session_id, ()):
            if not future.done():
                future.set_result(None)


def _discard(index: defaultdict[str, set[str]], key: str, name: str) -> None:
    index[key].discard(name)
    if not index[key]:
        del index[key]
