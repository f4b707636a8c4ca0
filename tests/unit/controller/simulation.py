"""
One conversation, its API server, its kubelet, and operators whose every request can go wrong.

The operators are the real ones from the reconciler down to the reflectors; only HTTP is left out.
Each of their requests waits until the test says what becomes of it, and each of their watches
until the test says how far it has come.
"""

import asyncio
import json
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

from conversations.api.labels import CONVERSATION_UID
from conversations.cluster import paths
from conversations.cluster.connection import NotFound
from conversations.cluster.kube import Kube
from conversations.cluster.workqueue import WorkQueue
from conversations.controller.caches import Caches, Key
from conversations.controller.perform import Performer
from conversations.controller.reconcile import Reconciler
from conversations.controller.recorder import Recorder
from conversations.core.errors import ApiRejected, ApiUnavailable, Conflict, ConversationError
from conversations.core.observed import Template
from tests.small_api.store import Manifest, Refused, Store
from tests.small_api.virtual_time import VirtualTimeLoop

NAMESPACE = "ns"
NAME = "chat"
KEY = Key("Conversation", NAME)
CONVERSATIONS = paths.conversations(NAMESPACE)
PODS = paths.core("pods", NAMESPACE)
SECRETS = paths.core("secrets", NAMESPACE)
CLAIMS = paths.core("persistentvolumeclaims", NAMESPACE)
EVENTS = paths.core("events", NAMESPACE)
EPOCH = datetime(2026, 3, 1, tzinfo=UTC)
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

    def __init__(self, method: str, path: str, query: Any, body: Any) -> None:
        self.method, self.path, self.query, self.body = method, path, query, body
        self.fate: asyncio.Future[Fate] = asyncio.get_running_loop().create_future()


class World:
    """The API server with what people and kubelet do to its objects."""

    def __init__(self, loop: VirtualTimeLoop, template: Template) -> None:
        self.loop = loop
        self.template: Template | None = template
        self.store = Store()
        self.quota_is_full = False
        self.writes: Counter[str] = Counter()
        self.trace: deque[str] = deque(maxlen=100)

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self.loop.time())

    @property
    def conversation(self) -> Manifest | None:
        return self.store.objects.get((CONVERSATIONS, NAME))

    @property
    def pods(self) -> list[Manifest]:
        return self.store.list(PODS)

    def secret_of(self, uid: str) -> Manifest | None:
        return self.store.objects.get((SECRETS, f"conv-{uid}"))

    def answer(self, ask: Ask) -> Any:
        """What the API server does with a request."""
        collection, _, rest = ask.path.partition(f"/namespaces/{NAMESPACE}/")
        resource, name = (*rest.split("/"), "", "")[:2]
        collection = f"{collection}/namespaces/{NAMESPACE}/{resource}"
        self.trace.append(f"{ask.method} {resource}")
        if ask.method != "GET" and resource != "events":
            self.writes[f"{ask.method} {resource}"] += 1
        if ask.method == "GET":
            if name:
                return self.store.get(collection, name)
            items = self.store.list(collection, (ask.query or {}).get("labelSelector", ""))
            return {"metadata": {"resourceVersion": str(self.store.version)}, "items": items}
        if ask.method == "POST":
            if resource == "pods" and self.quota_is_full:
                raise Refused(403, "Forbidden", "pods is forbidden: exceeded quota: q")
            return self.store.create(collection, ask.body)
        if ask.method == "PATCH":
            return self.store.patch(collection, name, ask.body)
        return self.store.delete(
            collection, name, uid=ask.body["preconditions"]["uid"], grace=self._has_grace(name)
        )

    def _has_grace(self, name: str) -> bool:
        pod = self.store.get(PODS, name)
        return bool((pod.get("spec") or {}).get("nodeName")) and not is_terminal(pod)

    # --- kubelet, scheduler, garbage collector

    def run_pod(self, name: str) -> None:
        status = {
            "phase": "Running",
            "podIP": "10.0.0.9",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"name": "runtime", "ready": True, "state": {"running": {}}}],
        }
        self.store.change(PODS, name, spec={"nodeName": "node-1"}, status=status)

    def collect_garbage(self) -> None:
        owners = {m["metadata"]["uid"] for m in self.store.list(CONVERSATIONS)}
        for collection in (PODS, SECRETS, CLAIMS):
            for manifest in self.store.list(collection):
                meta = manifest["metadata"]
                references = meta.get("ownerReferences") or []
                if references and not any(r["uid"] in owners for r in references):
                    grace = collection == PODS and self._has_grace(meta["name"])
                    self.store.delete(collection, meta["name"], grace=grace)

    def work(self) -> bool:
        """What a healthy cluster does by itself; whether there was anything."""
        before = self.store.version
        self.collect_garbage()
        for pod in self.pods:
            name = pod["metadata"]["name"]
            if "deletionTimestamp" in pod["metadata"]:
                self.store.remove(PODS, name)
            elif not is_terminal(pod) and self._can_run(pod):
                self.run_pod(name)
        return self.store.version != before

    def _can_run(self, pod: Manifest) -> bool:
        return (SECRETS, pod["metadata"]["name"]) in self.store.objects


def is_terminal(pod: Manifest) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Failed", "Succeeded")


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
        ask = Ask(method, path, query, body)
        # LISTs of the reflectors, and Events, are not what is tried here.
        fate = Fate.ANSWERED
        if not ("limit" in (query or {}) or path == EVENTS):
            self._operator.asks.append(ask)
            fate = await ask.fate
        if fate == Fate.FAILED:
            raise ApiUnavailable("500: so the test wants")
        try:
            answer = self._operator.world.answer(ask)
        except Refused as refused:
            raise _translated(refused) from refused
        finally:
            self._operator.on_commit(ask)
        if fate == Fate.REPLY_LOST:
            raise ApiUnavailable("the reply is lost")
        return json.dumps(answer).encode()

    @asynccontextmanager
    async def stream(self, path: str, *, query: Any, **_: Any) -> AsyncIterator[Any]:
        watch = Watch(path, int(query["resourceVersion"]), query.get("labelSelector", ""))
        self._operator.watches[path] = watch

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
        self.paused_during_pass = False
        self.complaints: list[str] = []
        connection: Any = _Connection(self)
        self.queue: WorkQueue[Key] = WorkQueue()
        self.caches = Caches(connection, NAMESPACE, self.queue.add)
        kube = Kube(connection, NAMESPACE)
        performer = Performer(kube, self.caches, Recorder(kube, NAMESPACE), resync_seconds=600)
        templates: Any = _Templates(world)
        self.reconciler = Reconciler(kube, self.caches, templates, self.queue, performer)
        self.reconciler.now = world.now
        self.task: asyncio.Task[None] | None = None
        self._running = world.loop.create_task(self.caches.run())
        world.loop.settle()
        self._getting = world.loop.create_task(self.queue.get())
        world.loop.settle()

    def on_commit(self, ask: Ask) -> None:
        """Overheard by the test."""

    def die(self) -> None:
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
            try:
                self.world.answer(ask)
            except Refused:
                pass
            finally:
                self.on_commit(ask)
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
        news = list(self.world.store.changes(path, watch.position, watch.selector))[:limit]
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


def uid_label(manifest: Manifest) -> str:
    return str((manifest["metadata"].get("labels") or {}).get(CONVERSATION_UID, ""))
