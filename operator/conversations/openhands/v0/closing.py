"""
`close_session`: pause, save the history, and delete where that is the policy.

The pause is written first, so that no query of any process counts the conversation as running; what
follows may fail or take long without changing that.
"""

import asyncio
import logging
from typing import Protocol

from conversations.client.watched import Watched
from conversations.core.errors import ConversationError, ConversationFailed, ConversationNotFound
from conversations.openhands.v0.config import ClosePolicy
from conversations.openhands.v0.installation import Installation
from conversations.openhands.v0.statuses import is_pause_refused, may_drain

VERDICT_SECONDS = 10.0
"""For the operator to say whether a pause would lose files."""
GOING_SECONDS = 10.0
"""For the pod to go, once its history is saved; it needs nobody to wait for it."""

logger = logging.getLogger(__name__)


class Draining(Protocol):
    """Stops the agent and saves what the pod knows, within a bound of its own."""

    async def drain(self, watched: Watched) -> None: ...


class Closing:
    """Closes conversations, some of them behind the caller's back."""

    def __init__(self, installation: Installation, drainer: Draining) -> None:
        self._installation = installation
        self._drainer = drainer
        self._tasks: set[asyncio.Task[None]] = set()

    async def close(self, sid: str) -> None:
        """Close it; one that is not there, or is closed already, is as good."""
        found = await self._installation.find_live(sid)
        if found is None:
            return
        seconds = self._installation.settings.close_seconds
        try:
            async with asyncio.timeout(seconds):
                paused = await self._installation.pause(found)
                await self._finish(paused)
        except ConversationNotFound:
            return
        except TimeoutError:
            logger.warning(
                "not closed within %g s: the operator goes on", seconds, extra={"session_id": sid}
            )

    async def close_soon(self, watched: Watched) -> None:
        """Return when it counts as closed; the rest is done in the background."""
        try:
            paused = await self._installation.pause(watched)
        except ConversationNotFound:
            return
        task = asyncio.create_task(self._finish_quietly(paused))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Leave what is under way to the operator and to other servers."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _finish_quietly(self, paused: Watched) -> None:
        try:
            async with asyncio.timeout(self._installation.settings.close_seconds):
                await self._finish(paused)
        except (ConversationError, TimeoutError) as error:
            logger.warning("closing: %s", error, extra={"session_id": paused.session_id})

    async def _finish(self, paused: Watched) -> None:
        if self._installation.settings.close_policy is ClosePolicy.DELETE:
            await self._drainer.drain(paused)
            if self._latest(paused) is not None:
                await self._installation.delete(paused.session_id)
            return
        decided = await self._wait_verdict(paused)
        if decided is not None and not is_pause_refused(decided):
            await self._drainer.drain(decided)
            await self._wait_gone(decided)
        elif decided is not None:
            await self._go_on(decided)

    async def _wait_verdict(self, paused: Watched) -> Watched | None:
        """
        As soon as it may be drained, or will not be paused; None if it is gone or wanted again.

        None as well where the operator says nothing: it is drained when it does.
        """
        latest = self._latest(paused)
        try:
            async with asyncio.timeout(VERDICT_SECONDS):
                while latest is not None and not (may_drain(latest) or is_pause_refused(latest)):
                    await self._installation.wait_change(paused.session_id)
                    latest = self._latest(paused)
        except TimeoutError:
            logger.warning(
                "the operator does not look at it", extra={"session_id": paused.session_id}
            )
            return None
        return latest

    def _latest(self, paused: Watched) -> Watched | None:
        """That very conversation as it is now; None if it is gone, or was started again."""
        latest = self._installation.find(paused.session_id)
        if latest is None or latest.metadata.uid != paused.metadata.uid:
            return None
        return latest if latest.spec.get("mode") == "Paused" else None

    async def _wait_gone(self, watched: Watched) -> None:
        try:
            await self._installation.wait_paused(watched.session_id, GOING_SECONDS)
        except ConversationFailed:
            await self._go_on(watched)
        except (ConversationError, TimeoutError) as error:
            logger.info("closing: %s", error, extra={"session_id": watched.session_id})

    async def _go_on(self, refused: Watched) -> None:
        logger.error(
            "a pause would lose the files of this conversation, and it runs on: give its "
            "RuntimeTemplate a volume claim as workspace, let it accept the loss, or set "
            "CONVERSATIONS_CLOSE_POLICY=Delete",
            extra={"session_id": refused.session_id},
        )
        # A wish that stays would be granted some day, when nobody expects it.
        await self._installation.resume(refused)
