"""
Operators that are stepped from outside, every request and every event of them.

They are the real ones from the reconciler down to the reflectors; only HTTP is left out.  Each
request waits until the test says what becomes of it, and each watch until the test says how far it
has come.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import Enum
from typing import Any

from conversations.api.labels import INPUT
from conversations.cluster.connection import NotFound
from conversations.cluster.kube import Kube
from conversations.cluster.workqueue import WorkQueue
from conversations.controller.bootstrap import Bootstrapper
from conversations.controller.caches import Caches, Key
from conversations.controller.inputs import Inputs
from conversations.controller.perform import Performer
from conversations.controller.reconcile import Reconciler
from conversations.controller.recorder import Recorder
from conversations.core.errors import ApiRejected, ApiUnavailable, Conflict, ConversationError
from conversations.core.template import Template
from tests.small_api.store import Refused
from tests.unit.controller.simulated_world import (
    EVENTS,
    INPUTS,
    NAME,
    NAMESPACE,
    Request,
    World,
)

KEY = Key("Conversation", NAME)
PATIENCE = 600
"""Steps in which everything must have come to rest."""


class Fate(Enum):
    """What becomes of a request."""

    ANSWERED = "answered"
    FAILED = "failed, nothing done"
    REPLY_LOST = "done, and the reply lost"
    CRASHED_BEFORE = "the operator dies before"
    CRASHED_AFTER = "the operator dies after"


class Ask:
    """A request under way."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.fate: asyncio.Future[Fate] = asyncio.get_running_loop().create_future()


class _Templates:
    def __init__(self, world: World) -> None:
        self._world = world

    def get(self, name: str) -> Template | None:
        return self._world.template


class Watch:
    """One watch, and how far it has come."""

    def __init__(self, path: str, after: int, selector: str) -> None:
        self.path, self.selector, self.position = path, selector, after
        self.lines: asyncio.Queue[bytes] = asyncio.Queue()


class _Connection:
    """Stands where `Connection` stands: same answers, same errors, no HTTP."""

    def __init__(self, operator: "SimulatedOperator") -> None:
        self._operator = operator

    async def get(self, path: str, *, query: Any = None, accept: str = "") -> bytes | None:
        try:
            return await self.request("GET", path, query=query)
        except NotFound:
            return None

    async def request(
        self, method: str, path: str, *, query: Any = None, body: Any = None, **_: Any
    ) -> bytes:
        asked = Request(method, path, query, body)
        # LISTs of the reflectors, and Events, are not what is tried here.
        fate = Fate.ANSWERED
        if not ("limit" in (query or {}) or path == EVENTS):
            ask = Ask(asked)
            self._operator.asks.append(ask)
            fate = await ask.fate
        if fate == Fate.FAILED:
            raise ApiUnavailable("500: so the test wants")
        try:
            answer = self._operator.commit(asked)
        except Refused as refused:
            raise _translated(refused) from refused
        if fate == Fate.REPLY_LOST:
            raise ApiUnavailable("the reply is lost")
        return json.dumps(answer).encode()

    @asynccontextmanager
    async def stream(self, path: str, *, query: Any, **_: Any) -> AsyncIterator[Any]:
        watch = Watch(path, int(query["resourceVersion"]), query.get("labelSelector", ""))
        self._operator.watches[path if watch.selector != INPUT else INPUTS] = watch

        async def lines() -> AsyncIterator[bytes]:
            while True:
                yield await watch.lines.get()

        yield lines()


def _translated(refused: Refused) -> ConversationError:
    if refused.code == 404:
        return NotFound(404, refused.message, refused.reason)
    if refused.code == 409:
        return Conflict(refused.message, refused.reason)
    return ApiRejected(refused.code, refused.message, refused.reason)


class SimulatedOperator:
    """A replica without a Lease: caches, queue and one worker, stepped from outside."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.asks: list[Ask] = []
        self.watches: dict[str, Watch] = {}
        self.done_in_pass: set[str] = set()
        connection: Any = _Connection(self)
        self.queue: WorkQueue[Key] = WorkQueue()
        self.caches = Caches(connection, NAMESPACE, self.queue.add)
        kube = Kube(connection, NAMESPACE)
        bootstrapper = Bootstrapper(
            kube, Inputs(kube, self.caches), self.queue.add, 600, world.tell
        )
        recorder = Recorder(kube, NAMESPACE)
        performer = Performer(kube, self.caches, recorder, bootstrapper, resync_seconds=600)
        self._bootstrapper = bootstrapper
        templates: Any = _Templates(world)
        self.reconciler = Reconciler(kube, self.caches, templates, self.queue, performer)
        self.reconciler.now = world.now
        self.task: asyncio.Task[None] | None = None
        self._running = world.loop.create_task(self.caches.run())
        world.loop.settle()
        self._getting = world.loop.create_task(self.queue.get())
        world.loop.settle()

    def commit(self, request: Request) -> Any:
        """Have the API server answer; rules that hold at that very moment are checked here."""
        self._mind_the_rules(request)
        answer = self.world.answer(request)
        self.done_in_pass.add(request.word)
        return answer

    def _mind_the_rules(self, request: Request) -> None:
        looked = self.done_in_pass & {"GET conversations", "PATCH conversations"}
        if request.word == "POST pods":
            decided = looked or "POST secrets" in self.done_in_pass
            assert decided, "rule 4: a pod on the word of a cache"
        if request.word == "DELETE pods":
            assert looked, "rule 4: a pod deleted on the word of a cache"
        if request.word == "PATCH conversations":
            self._mind_the_inputs(request.body["status"])
            lost = request.body["status"].get("lastRestartPodUID")
            pods = [p for p in self.world.pods if p["metadata"]["uid"] == lost]
            assert not any(self.world.is_well(p) for p in pods), "rule 1: a loss of what is there"

    def _mind_the_inputs(self, status: Any) -> None:
        ready = [c for c in status.get("conditions", []) if c["type"] == "Ready"]
        run = status.get("initializedContainerID")
        if run is not None and ready and ready[0]["status"] == "True":
            assert run in self.world.told, "rule 7: Ready before the container was told its inputs"

    def die(self) -> None:
        self._bootstrapper.cancel_all()
        for task in (self.task, self._running, self._getting):
            if task is not None:
                task.cancel()
        self.queue.shut_down()
        self.world.loop.settle()

    @property
    def is_busy(self) -> bool:
        return self.task is not None and not self.task.done()

    def start_pass(self) -> bool:
        """Begin with the key that is ready; whether there was one."""
        self.world.loop.settle()
        if self.is_busy or not self._getting.done() or self._getting.result() is None:
            return False
        self.done_in_pass.clear()
        self.task = self.world.loop.create_task(self._one_pass())
        self.world.loop.settle()
        return True

    async def _one_pass(self) -> None:
        try:
            await self.reconciler.reconcile(KEY)
            self.queue.forget(KEY)
        except ConversationError:
            self.queue.retry(KEY)
        self.queue.done(KEY)
        self._getting = asyncio.get_running_loop().create_task(self.queue.get())

    def step(self, fate: Fate = Fate.ANSWERED) -> bool:
        """Let the request under way meet its fate; whether there was one.  The caller buries the dead."""
        if not self.asks:
            return False
        ask = self.asks.pop(0)
        if fate == Fate.CRASHED_AFTER:
            with suppress(Refused):
                self.commit(ask.request)
        if fate in (Fate.CRASHED_BEFORE, Fate.CRASHED_AFTER):
            self.die()
            return True
        ask.fate.set_result(fate)
        self.world.loop.settle()
        if self.task is not None and self.task.done():
            self.task.result()  # An unexpected exception fails the test.
        return True

    def deliver(self, path: str, limit: int = 1_000_000) -> bool:
        """Bring that watch forward by some events; whether there were any."""
        watch = self.watches[path]
        news = list(self.world.store.changes(watch.path, watch.position, watch.selector))[:limit]
        for change in news:
            line = {"type": change.kind, "object": change.manifest}
            watch.lines.put_nowait(json.dumps(line).encode())
            watch.position = change.version
        self.world.loop.settle()
        return bool(news)

    def deliver_all(self) -> bool:
        return sum(self.deliver(path) for path in list(self.watches)) > 0

    def relist(self) -> None:
        self.world.loop.call_soon(self.caches.relist)
        self.world.loop.settle()
        self.caches.notify_all()


def come_to_rest(world: World, operators: list[SimulatedOperator], seconds: float) -> None:
    """Let everything work until nothing has anything to do for that long."""
    for _ in range(PATIENCE):
        moved = world.work()
        for operator in operators:
            moved = operator.deliver_all() or moved
            moved = operator.start_pass() or moved
            moved = operator.step() or moved
        if moved:
            world.loop.advance(0.01)
            continue
        next_timer = min(
            (t.when() for t in world.loop._scheduled if not t.cancelled()),  # type: ignore[attr-defined]
            default=float("inf"),
        )
        ahead = next_timer - world.loop.time()
        if ahead > seconds:
            return
        world.loop.advance(ahead)
    last = list(world.trace)[-30:]
    raise AssertionError(f"no rest after {PATIENCE} steps: {dict(world.writes)}, last {last}")
