"""
`max_concurrent_conversations`: a user's oldest conversation makes room for his newest.

It counts and closes what this installation made for that very user, and nothing else.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from weakref import WeakValueDictionary

from openhands.server.constants import ROOM_KEY

from conversations.client.watched import Watched
from conversations.openhands.v0.closing import Closing
from conversations.openhands.v0.installation import Installation
from conversations.openhands.v0.statuses import RUNNING_SET, compute_loop_status

ConversationStores = Callable[[str | None], Awaitable[Any]]
"""OpenHands' ConversationStore of a user."""

TOO_MANY = {
    "status_update": True,
    "type": "error",
    "id": "AGENT_ERROR$TOO_MANY_CONVERSATIONS",
    "message": "Too many conversations at once. If you are still using this one, try reactivating "
    "it by prompting the agent to continue",
}
NEVER = datetime.fromtimestamp(0, UTC)

logger = logging.getLogger(__name__)


class UserLimit:
    """At most so many running conversations of a user; less than one is no limit."""

    def __init__(
        self,
        most: int,
        installation: Installation,
        closing: Closing,
        stores: ConversationStores,
        sio: Any,
    ) -> None:
        self._most = most
        self._installation = installation
        self._closing = closing
        self._stores = stores
        self._sio = sio
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def room_for(self, sid: str, user_id: str | None) -> AsyncIterator[None]:
        """Close the oldest until there is room; nobody else of that user starts one in the block."""
        if self._most < 1:
            yield
            return
        lock = self._locks.setdefault(user_id or "", asyncio.Lock())
        async with lock:
            running = self._running(sid, user_id)
            if len(running) >= self._most:
                for oldest in (await self._by_age(running, user_id))[
                    : len(running) - self._most + 1
                ]:
                    await self._close(oldest)
            yield

    def _running(self, sid: str, user_id: str | None) -> list[Watched]:
        return [
            watched
            for watched in self._installation.select(user_id or None)
            if (watched.user or None) == (user_id or None)
            and watched.session_id != sid
            and compute_loop_status(watched) in RUNNING_SET
        ]

    async def _by_age(self, running: list[Watched], user_id: str | None) -> list[Watched]:
        store = await self._stores(user_id)
        times = await asyncio.gather(*(_last_update(store, watched) for watched in running))
        return [
            watched for _, _, watched in sorted(zip(times, _names(running), running, strict=True))
        ]

    async def _close(self, oldest: Watched) -> None:
        sid = oldest.session_id
        logger.info("closing the user's oldest conversation: too many", extra={"session_id": sid})
        await self._sio.emit("oh_event", dict(TOO_MANY), to=ROOM_KEY.format(sid=sid))
        await self._closing.close_soon(oldest)


def _names(running: list[Watched]) -> list[str]:
    return [watched.metadata.name for watched in running]


async def _last_update(store: Any, watched: Watched) -> datetime:
    """When it was last used; when it was made, if OpenHands has lost or never had its metadata."""
    try:
        metadata = await store.get_metadata(watched.session_id)
    except (
        Exception
    ) as error:  # Stores of any make: one bad record must not keep a user from starting.
        logger.warning(
            "no metadata: %s", type(error).__name__, extra={"session_id": watched.session_id}
        )
        return _aware(_parse(watched.metadata.creation_timestamp))
    return _aware(metadata.last_updated_at or metadata.created_at)


def _parse(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _aware(moment: datetime | None) -> datetime:
    if moment is None:
        return NEVER
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
