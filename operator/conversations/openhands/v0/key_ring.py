"""Session keys of what runs, read before anybody asks: a query for a thousand costs no request."""

import asyncio
import logging
from collections.abc import Collection

from conversations.client.watched import Watched
from conversations.core.errors import ConversationError
from conversations.openhands.v0.installation import Installation
from conversations.runtime.deadline import deadline

READ_SECONDS = 20.0
ASKED_SECONDS = 1.0
"""Whoever asks for what is not there yet waits for this long, and gets the rest."""
AT_ONCE = 8

logger = logging.getLogger(__name__)


class KeyRing:
    """Follows the watch from `start` to `stop`."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._reads: dict[str, asyncio.Task[None]] = {}
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._stopped = False

    def start(self) -> None:
        self._installation.on_change(self._changed)
        for watched in self._installation.select():
            self._changed(None, watched)

    async def stop(self) -> None:
        self._stopped = True
        reads = list(self._reads.values())
        for read in reads:
            read.cancel()
        await asyncio.gather(*reads, return_exceptions=True)

    async def read(self, conversations: Collection[Watched]) -> None:
        """Try to know the keys of all of these; give up after a second."""
        reads = [read for watched in conversations if (read := self._need(watched)) is not None]
        if reads:
            await asyncio.wait(reads, timeout=ASKED_SECONDS)

    def _changed(self, old: Watched | None, new: Watched | None) -> None:
        if new is not None and self._installation.is_running(new):
            self._need(new)

    def _need(self, watched: Watched) -> asyncio.Task[None] | None:
        if self._stopped or self._installation.known_key(watched) is not None:
            return None
        uid = watched.metadata.uid
        if uid not in self._reads:
            self._reads[uid] = asyncio.create_task(self._read(watched))
            self._reads[uid].add_done_callback(lambda _: self._reads.pop(uid, None))
        return self._reads[uid]

    async def _read(self, watched: Watched) -> None:
        try:
            async with self._turns, deadline(READ_SECONDS, "session key") as until:
                await self._installation.read_key(watched, until)
        except ConversationError as error:
            # The next change, or the next who asks, tries again.
            logger.warning("session key of %s: %s", watched.metadata.name, error)
