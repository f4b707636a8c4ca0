"""
The operator: caches, workers, lease and resync, put together.

kopf starts and stops it (handlers.py).  Nothing is written before all caches have synced, and
only while this replica holds the Lease.
"""

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import Any

from conversations.cluster.connection import Connection, backoff_sleep
from conversations.cluster.kube import Kube
from conversations.cluster.lease import Candidacy, LeaderElection
from conversations.cluster.workqueue import WorkQueue
from conversations.controller import metrics
from conversations.controller.bootstrap import Bootstrapper
from conversations.controller.caches import Caches, Key
from conversations.controller.inputs import Inputs
from conversations.controller.perform import Performer
from conversations.controller.reconcile import Reconciler
from conversations.controller.recorder import Recorder
from conversations.controller.settings import Settings
from conversations.controller.templates import Templates
from conversations.core.errors import ApiUnavailable, ConversationError, TransientError

logger = logging.getLogger(__name__)

DRAIN_SECONDS = 10.0
STUCK_SECONDS = 120.0
"""A worker makes requests of 20 s at most, so that none is done in this time means a bug."""
UNREACHABLE_SECONDS = 10.0


class Operator:
    """Reconciles the Conversations of one namespace from `start` to `stop`."""

    def __init__(
        self, settings: Settings, connect: Callable[[], Awaitable[Connection]] = Connection.open
    ) -> None:
        self.over = asyncio.Event()
        self.failed = False
        self._settings = settings
        self._connect = connect
        self._began = time.monotonic()
        self._queue: WorkQueue[Key] = WorkQueue()
        self._acting = asyncio.Event()
        self._synced = False
        self._stopping = False
        self._last_done = time.monotonic()
        self._tasks: set[asyncio.Task[None]] = set()
        self._workers: list[asyncio.Task[None]] = []
        self._taking_over: asyncio.Task[None] | None = None
        self._connection: Connection | None = None

    async def start(self) -> None:
        """Return once all caches are synced; from then on it reconciles while it leads."""
        try:
            self._connection = await self._connect()
            self._assemble(self._connection)
            await self._synchronise()
        except BaseException:
            await self.stop()  # kopf does not, after a start that failed or was cut short.
            raise
        if self._settings.lease:
            self._spawn(self._election.run(), "lease")
        else:
            self._lead(True)

    def _assemble(self, connection: Connection) -> None:
        settings = self._settings
        kube = Kube(connection, settings.namespace)
        self._caches = Caches(connection, settings.namespace, self._notify)
        self._templates = Templates(kube, self._caches.notify_all)
        recorder = Recorder(kube, settings.namespace)
        self._inputs = Inputs(kube, self._caches)
        self._bootstrapper = Bootstrapper(kube, self._inputs, self._notify, settings.resync_seconds)
        performer = Performer(
            kube, self._caches, recorder, self._bootstrapper, settings.resync_seconds
        )
        self._reconciler = Reconciler(kube, self._caches, self._templates, self._queue, performer)
        candidacy = Candidacy(settings.namespace, settings.lease, settings.identity)
        self._election = LeaderElection(connection, candidacy, self._lead)

    async def _synchronise(self) -> None:
        self._spawn(self._caches.run(), "caches")
        await self._caches.wait_synced()
        await self._load_templates()
        self._synced = True
        metrics.SYNCED.set(time.monotonic() - self._began)
        logger.info(
            "synced: %s conversations, %s pods, in %.1f s",
            len(self._caches.conversations.objects),
            len(self._caches.pods.objects),
            time.monotonic() - self._began,
        )
        self._spawn(self._resync_forever(), "resync")

    async def stop(self) -> None:
        """Finish the passes under way, within ten seconds, and give the Lease back."""
        self._stopping = True
        self._queue.shut_down()
        self._acting.set()  # Workers that wait for the Lease see that we stop.
        if self._workers:
            _, late = await asyncio.wait(self._workers, timeout=DRAIN_SECONDS - 2)
            for task in late:
                task.cancel()
        if self._synced:
            self._bootstrapper.cancel_all()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, *self._workers, return_exceptions=True)
        if self._settings.lease and self._synced:
            await self._election.release()
        if self._connection is not None:
            await self._connection.close()
        self.over.set()  # Or kopf waits five seconds for whoever waits for it.
        logger.info("drained")

    def template_changed(self, name: str) -> None:
        self._notify(Key("RuntimeTemplate", name))

    def _notify(self, key: Key) -> None:
        # A standby looks at everything when it takes over; until then its queue would only grow.
        if self._acting.is_set():
            self._queue.add(key)

    @property
    def is_live(self) -> bool:
        """Workers make progress, or have nothing to do.  The API server's health is not ours."""
        waiting = self._acting.is_set() and (len(self._queue) or self._queue.held)
        return not waiting or time.monotonic() - self._last_done < STUCK_SECONDS

    @property
    def is_ready(self) -> bool:
        """Synced, and the API server can be reached."""
        return self._synced and self._caches.failing_seconds < UNREACHABLE_SECONDS

    def measure(self) -> None:
        """Bring the gauges up to date."""
        metrics.QUEUE_DEPTH.set(len(self._queue))
        metrics.LEADER.set(1 if self._acting.is_set() else 0)
        if not self._synced:
            return
        objects = self._caches.conversations.objects.values()
        phases = Counter(c.status.phase or "Pending" for c in objects)
        for phase in ("Pending", "Running", "Paused", "Failed"):
            metrics.CONVERSATIONS.labels(phase).set(phases[phase])

    def _lead(self, leading: bool) -> None:
        if self._taking_over is not None:
            self._taking_over.cancel()
            self._taking_over = None
        if leading:
            self._taking_over = self._spawn(self._take_over(), "take-over")
        else:
            self._acting.clear()

    async def _take_over(self) -> None:
        """What only the acting replica does: the chart's templates, then everything else."""
        applied = await self._apply_templates()
        await self._load_templates()
        self._act()
        attempt = 0
        while not applied:
            await backoff_sleep(attempt, random.random())
            attempt += 1
            applied = await self._apply_templates()

    def _act(self) -> None:
        self._reconciler.forget_all()
        self._last_done = time.monotonic()
        self._acting.set()
        if not self._workers:
            self._workers = [
                asyncio.create_task(self._work(), name=f"worker-{number}")
                for number in range(self._settings.workers)
            ]
        for name in self._templates.names:
            self.template_changed(name)
        self._caches.notify_all()

    async def _apply_templates(self) -> bool:
        folder = self._settings.templates_dir
        return folder is None or await self._templates.apply(folder)

    async def _load_templates(self) -> None:
        attempt = 0
        while True:
            try:
                return await self._templates.load()
            except ConversationError as error:
                logger.warning("templates: %s", error)
                await backoff_sleep(attempt, random.random())
                attempt += 1

    async def _resync_forever(self) -> None:
        while True:
            await asyncio.sleep(self._settings.resync_seconds)
            self._caches.relist()
            await self._load_templates()
            for name in self._templates.names:
                self.template_changed(name)
            self._caches.notify_all()
            if self._acting.is_set():
                await self._sweep()

    async def _sweep(self) -> None:
        try:
            await self._inputs.sweep(timedelta(seconds=self._settings.orphan_seconds))
        except ConversationError as error:
            logger.warning("sweep of inputs: %s", error)

    async def _work(self) -> None:
        while (key := await self._queue.get()) is not None:
            self._last_done = time.monotonic()  # There may have been nothing to do for hours.
            try:
                await self._acting.wait()
                if not self._stopping:
                    await self._one_pass(key)
            finally:
                self._last_done = time.monotonic()
                self._queue.done(key)

    async def _one_pass(self, key: Key) -> None:
        began = time.perf_counter()
        result = "retry"
        try:
            if key.kind == "RuntimeTemplate":
                await self._templates.reconcile(key.name)
            else:
                await self._reconciler.reconcile(key)
            self._queue.forget(key)
            result = "ok"
        except TransientError as error:
            wait = error.retry_after if isinstance(error, ApiUnavailable) else None
            delay = self._queue.retry(key, wait or 0.0)
            logger.info("%s %s: %s; again in %.2f s", key.kind, key.name, error, delay)
        except ConversationError as error:
            delay = self._queue.retry(key)
            logger.warning("%s %s: %s; again in %.2f s", key.kind, key.name, error, delay)
        except Exception:
            self._queue.retry(key)
            result = "error"
            logger.exception("%s %s: unexpected", key.kind, key.name)
        metrics.RECONCILES.labels(key.kind, result).inc()
        metrics.RECONCILE_SECONDS.labels(key.kind).observe(time.perf_counter() - began)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.critical("%s ended", task.get_name(), exc_info=task.exception())
            self.failed = True
            self.over.set()
