"""
One pass over one conversation: look, do the next thing, report.

It is told *which* conversation, never *what happened*: it is safe to run at any time, any number
of times, by any number of operators.  Whatever it cannot finish now, the next event finishes.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime

from conversations.cluster.kube import Kube
from conversations.cluster.workqueue import WorkQueue
from conversations.controller import metrics
from conversations.controller.caches import Caches, Key
from conversations.controller.perform import Performer
from conversations.controller.recorder import Recorder
from conversations.controller.templates import Templates
from conversations.core.actions import CREATIONS, Wait
from conversations.core.errors import ApiUnavailable, TransientError
from conversations.core.events import news
from conversations.core.names import children_name
from conversations.core.observed import Child
from conversations.core.plan import plan
from conversations.core.status import compute_status, is_settled, progress_delay, status_patch
from conversations.core.world import Memory, World

logger = logging.getLogger(__name__)

MAX_STEPS = 20


class Reconciler:
    """Passes over conversations.  Remembers per conversation only what may be forgotten."""

    def __init__(
        self,
        kube: Kube,
        caches: Caches,
        templates: Templates,
        queue: WorkQueue[Key],
        performer: Performer,
    ) -> None:
        self._kube = kube
        self._caches = caches
        self._templates = templates
        self._queue = queue
        self._performer = performer
        self._recorder: Recorder = performer.recorder
        self._memories: dict[str, tuple[str, Memory]] = {}
        self.now: Callable[[], datetime] = _now
        """Replaced where time is simulated; the monotonic clock is the event loop's."""

    async def reconcile(self, key: Key) -> None:
        """Raises TransientError where the pass should be made again after a back-off."""
        world = self._look(key)
        if world is None:
            return
        if await self._carry_out(key, world):
            await self._report(key, world)

    def forget_all(self) -> None:
        """While another replica acted, what we remember became a story of long ago."""
        self._memories.clear()
        self._performer.bootstrapper.cancel_all()

    async def _carry_out(self, key: Key, world: World) -> bool:
        """Do what the plan says until it has no more; False where the conversation is gone."""
        for _ in range(MAX_STEPS):
            action = plan(world)
            if isinstance(action, Wait):
                self._queue.add_after(key, action.seconds)
            if action is None or isinstance(action, Wait):
                return True
            try:
                await self._performer.perform(action, world)
            except ApiUnavailable:
                # Perhaps one webhook only: then the status can be written, and people see one.
                if isinstance(action, CREATIONS):
                    await self._report(key, world)
                raise
            if not self._look_again(world):
                return False  # Deleted, or made anew: its own event brings us back.
        logger.error("%s: no end after %s steps, last %s", key.name, MAX_STEPS, action)
        raise TransientError("the plan has no end")

    def _look(self, key: Key) -> World | None:
        conversation = self._caches.conversations.get(key.name)
        if conversation is None:
            uid, _ = self._memories.pop(key.name, ("", None))
            self._performer.bootstrapper.cancel(uid)
            return None
        if conversation.metadata.deletion_timestamp is not None:
            return None
        uid = conversation.metadata.uid
        known, memory = self._memories.get(key.name, ("", Memory()))
        if known != uid:
            memory = Memory()
            self._memories[key.name] = uid, memory
        world = World(
            conversation=conversation,
            template=self._templates.get(conversation.spec.template),
            secret=self._owned_secret(uid),
            pods=self._caches.pods_of(uid),
            inputs=self._caches.inputs_of(key.name),
            memory=memory,
            now=self.now(),
            clock=asyncio.get_running_loop().time(),
        )
        if memory.started_at is None and conversation.spec.mode == "Running" and world.pod is None:
            memory.started_at = world.clock
        self._follow_mode(world)
        return world

    def _follow_mode(self, world: World) -> None:
        memory = world.memory
        if world.conversation.spec.mode == "Running":
            memory.pausing_since = None
            return
        if memory.pausing_since is None:
            memory.pausing_since = world.clock
        self._performer.bootstrapper.cancel(world.uid)

    def _look_again(self, world: World) -> bool:
        """Take in what the caches know by now, our own writes included."""
        current = self._caches.conversations.get(world.conversation.metadata.name)
        if current is None or current.metadata.uid != world.uid:
            return False
        world.conversation = current
        world.pods = self._caches.pods_of(world.uid)
        world.inputs = self._caches.inputs_of(world.conversation.metadata.name)
        if not world.secret_read:
            world.secret = self._owned_secret(world.uid)
        return current.metadata.deletion_timestamp is None

    def _owned_secret(self, uid: str) -> Child | None:
        secret = self._caches.secrets.get(children_name(uid))
        return secret if secret is not None and secret.metadata.is_owned_by(uid) else None

    async def _report(self, key: Key, world: World) -> None:
        memory = world.memory
        if is_settled(world):
            memory.unsettled_since = None
        elif memory.unsettled_since is None:
            memory.unsettled_since = world.clock
        old, new = world.conversation.status, compute_status(world)
        patch = status_patch(old, new)
        if patch:
            delay = progress_delay(world, new)
            if delay > 0:
                self._queue.add_after(key, delay)
                return
            await self._performer.write_status(world, patch)
            if "startupMilliseconds" in patch and new.startup_milliseconds is not None:
                metrics.STARTUP_SECONDS.observe(new.startup_milliseconds / 1000)
            await self._recorder.post(world.conversation, news(old, new))
        if is_settled(world):
            memory.started_at = None


def _now() -> datetime:
    return datetime.now(UTC)
