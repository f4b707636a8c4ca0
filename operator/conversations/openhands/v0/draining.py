"""
Before a pod goes: its agent is stopped, the rest of its history saved, and the operator told.

The operator keeps the pod of a paused conversation until it is marked as drained, or for half a
minute.  Whoever paused it, a person, idleness or another server: every server drains what it sees.
"""

import asyncio
import logging
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from conversations.api.labels import DRAINED_POD
from conversations.client.watched import Watched
from conversations.openhands.v0.follower import Nested, is_followed
from conversations.openhands.v0.mirror import Changed, Mirror, explain
from conversations.openhands.v0.statuses import may_drain

logger = logging.getLogger(__name__)

DRAIN_SECONDS = 20.0
STOP_CALL_SECONDS = 5.0
STOPPED_LOOKS = 3
RETRY_SECONDS = 2.0
GIVE_UP_SECONDS = 40.0
"""By then the operator waits no longer."""


class Installation(Protocol):
    """What is needed of it."""

    def find(self, sid: str) -> Watched | None: ...
    def select(self) -> list[Watched]: ...
    def on_change(self, callback: Changed) -> None: ...
    def draining_runtime(
        self, watched: Watched, seconds: float
    ) -> AbstractAsyncContextManager[Nested]: ...
    async def mark_drained(self, watched: Watched, pod_uid: str) -> None: ...


class Drainer:
    """Drains each pod once at a time, however many ask."""

    def __init__(
        self, installation: Installation, mirror: Mirror, *, seconds: float = DRAIN_SECONDS
    ) -> None:
        self._installation = installation
        self._mirror = mirror
        self._seconds = seconds
        self._drains: dict[str, asyncio.Task[None]] = {}
        self._is_open = False

    async def start(self) -> None:
        """Drain whatever is paused and still has its pod, now and later."""
        self._is_open = True
        self._installation.on_change(self._look)
        for watched in self._installation.select():
            self._look(None, watched)

    async def stop(self) -> None:
        """Leave what is not drained to another server, or to the operator's patience."""
        self._is_open = False
        drains = list(self._drains.values())
        for drain in drains:
            drain.cancel()
        await asyncio.gather(*drains, return_exceptions=True)

    async def drain(self, watched: Watched) -> None:
        """
        Return when the history of its pod is saved, or in due time whatever the pod does.

        Its mode is Paused, and the caller knows that the agent may stop.  What is not saved by then
        is tried further in the background, for as long as the operator keeps the pod.
        """
        if (drain := self._begin(watched)) is not None:
            await asyncio.wait({drain}, timeout=self._seconds)

    def _look(self, _: Watched | None, new: Watched | None) -> None:
        # A pause that may yet be refused comes again, with the operator's verdict.
        if new is not None and may_drain(new):
            self._begin(new)

    def _begin(self, watched: Watched) -> asyncio.Task[None] | None:
        pod_uid = watched.pod_uid
        if not self._is_open or pod_uid is None or not needs_drain(watched, pod_uid):
            return None
        drain = self._drains.get(pod_uid)
        if drain is None:
            drain = asyncio.create_task(self._keep_trying(watched, pod_uid))
            self._drains[pod_uid] = drain
            drain.add_done_callback(lambda _: self._drains.pop(pod_uid, None))
        return drain

    async def _keep_trying(self, watched: Watched, pod_uid: str) -> None:
        sid, until = watched.session_id, asyncio.get_running_loop().time() + GIVE_UP_SECONDS
        is_stopped = False
        while asyncio.get_running_loop().time() < until:
            now = self._installation.find(sid)
            if now is None or not needs_drain(now, pod_uid, is_stopped=is_stopped):
                return  # The pod is gone, another server was quicker, or the pause is taken back.
            try:
                async with self._installation.draining_runtime(now, self._seconds) as nested:
                    is_stopped = True
                    await self._stop_agent(sid, nested)
                    await self._mirror.catch_up(now, nested)
                return await self._installation.mark_drained(now, pod_uid)
            except (
                Exception
            ) as error:  # Of the pod, the store or the API server: all may get better.
                logger.warning("drain of %r: %s", sid, explain(error))
            await asyncio.sleep(RETRY_SECONDS)
        await self._give_up(sid, pod_uid, is_stopped=is_stopped)

    async def _give_up(self, sid: str, pod_uid: str, *, is_stopped: bool) -> None:
        """An agent that was stopped and is wanted again gets another pod: the mark sees to that."""
        now = self._installation.find(sid)
        if now is None or not is_stopped or not needs_drain(now, pod_uid, is_stopped=True):
            return
        if now.spec.get("mode") != "Paused":
            logger.error("the end of the history of %r may be lost with its pod", sid)
            await self._installation.mark_drained(now, pod_uid)

    async def _stop_agent(self, sid: str, nested: Nested) -> None:
        """Best effort: an agent that will not stop loses no more than what it does from now on."""
        try:
            async with asyncio.timeout(STOP_CALL_SECONDS + STOPPED_LOOKS):
                await nested.stop(sid)
                for _ in range(STOPPED_LOOKS):
                    told = await nested.get_conversation(sid)
                    if told is None or told.get("status") == "STOPPED":
                        return
                    await asyncio.sleep(1)
        except Exception as error:
            logger.warning("stop of the agent of %r: %s", sid, explain(error))


def needs_drain(watched: Watched, pod_uid: str, *, is_stopped: bool = False) -> bool:
    """
    Whether this pod is about to go, and its history is not known to be saved.

    One whose agent is stopped has to go, even if nobody wants a pause any more.
    """
    return (
        watched.pod_uid == pod_uid
        and (is_stopped or watched.spec.get("mode") == "Paused")
        and not watched.is_terminating
        and watched.metadata.annotations.get(DRAINED_POD) != pod_uid
        and is_followed(watched)
    )
