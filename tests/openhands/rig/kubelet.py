"""
Pods that nothing schedules, run as a kubelet would: each gets a loopback address of its own.

All of 127.0.0.0/8 is this machine, so every pod can listen on the template's port, and operator and
manager reach it at the address that its status names, as in a cluster.
"""

import asyncio
import base64
import contextlib
import logging
import secrets
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime

from conversations.api.labels import CONVERSATION_UID, SESSION_KEY
from conversations.core.names import children_name
from tests.openhands.rig.nested import Nested
from tests.openhands.rig.volume import Volume
from tests.rig.api import Api, ApiError, Manifest

logger = logging.getLogger(__name__)

SCHEDULER = "nobody"
"""The template's schedulerName: its pods stay as this kubelet writes them."""


@dataclass
class _Running:
    """A pod whose container listens."""

    uid: str
    name: str
    address: str
    port: int
    key: str
    env: dict[str, str]
    nested: Nested
    restarts: int = 0


class Kubelet:
    """`nested(sid)` is what runs, or will run, in that conversation's pod."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._prefix = f"127.{secrets.randbelow(250) + 2}.{secrets.randbelow(250) + 2}"
        self._number = 0
        self._nested: dict[str, Nested] = {}
        self._by_pod: dict[str, _Running] = {}
        self._plans: dict[str, Manifest | None] = {}
        self._started: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    # --- what a test asks

    def nested(self, sid: str) -> Nested:
        """The server of that session, there already or not."""
        if sid not in self._nested:
            self._nested[sid] = Nested(sid)
        return self._nested[sid]

    def replace(self, sid: str, nested: Nested) -> None:
        """Run that in the conversation's pods."""
        self._nested[sid] = nested

    def hold(self, sid: str, status: Manifest | None = None) -> None:
        """Report that status of its next pods, or none, instead of running them."""
        self._plans[sid] = status

    async def release(self, sid: str) -> None:
        """Run the pod that was held back."""
        self._plans.pop(sid)
        for pod in await self._api.list("pods"):
            if await self._session_of(pod) == sid:
                await self._run_pod(pod, sid)

    @property
    def keys(self) -> set[str]:
        """All session keys that pods were given."""
        return {nested.key for nested in self._nested.values() if nested.key}

    def pod_of(self, sid: str) -> str:
        """The uid of the pod that runs."""
        return self._running(sid).uid

    async def restart_container(self, sid: str) -> None:
        """Kill the container and start another in the same pod."""
        pod = self._running(sid)
        await pod.nested.stop()
        pod.restarts += 1
        await self._report(pod, ready=False)
        await pod.nested.start(pod.address, pod.port, pod.key, pod.env)
        await self._report(pod, ready=True)

    async def report_status(self, sid: str, status: Manifest) -> None:
        """Say that of its pod."""
        await self._patch(self._running(sid).name, status)

    async def unplug(self, sid: str) -> None:
        """Nobody listens at the pod's address any more, and no status says so."""
        await self._running(sid).nested.stop()

    async def plug(self, sid: str) -> None:
        """Somebody listens there again: a container that was never told anything."""
        pod = self._running(sid)
        await pod.nested.start(pod.address, pod.port, pod.key, pod.env)

    def _running(self, sid: str) -> _Running:
        return next(pod for pod in self._by_pod.values() if pod.nested.sid == sid)

    # --- the loop

    async def run(self) -> None:
        """Follow the namespace's pods for ever."""
        while True:
            answer = await self._api.request("GET", self._api.path("pods"))
            for pod in answer["items"]:
                await self._observe("ADDED", pod)
            version = answer["metadata"]["resourceVersion"]
            with contextlib.suppress(ApiError):  # 410: list again.
                async for kind, pod in self._api.watch("pods", resourceVersion=version):
                    if kind == "ERROR":
                        break
                    await self._observe(kind, pod)

    async def stop(self) -> None:
        for pod in self._by_pod.values():
            await pod.nested.stop()

    async def _observe(self, kind: str, pod: Manifest) -> None:
        uid = pod["metadata"]["uid"]
        if kind == "DELETED":
            if gone := self._by_pod.pop(uid, None):
                await gone.nested.stop()
        elif kind == "ADDED" and uid not in self._by_pod:
            sid = await self._session_of(pod)
            if sid is not None:
                await self._place(pod, sid)

    async def _session_of(self, pod: Manifest) -> str | None:
        owner = next(iter(pod["metadata"].get("ownerReferences", [])), None)
        conversation = owner and await self._api.get("conversations", owner["name"])
        if not conversation:
            return None
        return str(conversation["spec"].get("sessionID") or conversation["metadata"]["name"])

    async def _place(self, pod: Manifest, sid: str) -> None:
        if sid not in self._plans:
            await self._run_pod(pod, sid)
        elif status := self._plans[sid]:
            await self._patch(pod["metadata"]["name"], status)

    async def _run_pod(self, pod: Manifest, sid: str) -> None:
        container = next(c for c in pod["spec"]["containers"] if c["name"] == "runtime")
        env = {e["name"]: e["value"] for e in container["env"] if "value" in e}
        port = int(env["port"])
        key = await self._key(pod["metadata"]["labels"][CONVERSATION_UID])
        if key is None:
            return
        self._number += 1
        address = f"{self._prefix}.{self._number}"
        nested = self.nested(sid)
        if not any("persistentVolumeClaim" in v for v in pod["spec"].get("volumes", [])):
            nested.volume = Volume()
        running = _Running(
            pod["metadata"]["uid"], pod["metadata"]["name"], address, port, key, env, nested
        )
        self._by_pod[running.uid] = running
        await nested.start(address, port, key, running.env)
        await self._report(running, ready=True)

    async def _key(self, conversation_uid: str) -> str | None:
        """The session key, or None where the conversation was just deleted: the pod goes, too."""
        secret = await self._api.get("secrets", children_name(conversation_uid))
        if secret is None:
            return None
        return base64.b64decode(secret["data"][SESSION_KEY]).decode()

    async def _report(self, pod: _Running, *, ready: bool) -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        words = "True" if ready else "False"
        kinds = {"PodScheduled": "True", "Initialized": "True"}
        kinds |= {"ContainersReady": words, "Ready": words}
        state = {"running": {"startedAt": now}} if ready else {"waiting": {"reason": "Restarting"}}
        container = {
            "name": "runtime",
            "image": "any",
            "imageID": "any",
            "containerID": f"stub://{pod.uid}-{pod.restarts}",
            "ready": ready,
            "started": ready,
            "restartCount": pod.restarts,
            "state": state,
        }
        status = {
            "phase": "Running",
            "podIP": pod.address,
            "podIPs": [{"ip": pod.address}],
            "startTime": now,
            "conditions": [{"type": kind, "status": word} for kind, word in kinds.items()],
            "containerStatuses": [container],
        }
        await self._patch(pod.name, status)

    async def _patch(self, name: str, status: Manifest) -> None:
        try:
            await self._api.patch("pods/status", name, {"status": status})
        except ApiError as error:
            if error.status != 404:
                raise


@contextlib.asynccontextmanager
async def run_kubelet(api: Api) -> AsyncIterator[Kubelet]:
    """A kubelet for the namespace of `api`; its failure fails the block."""
    kubelet = Kubelet(api)
    task = asyncio.create_task(kubelet.run())
    task.add_done_callback(_tell)
    try:
        yield kubelet
        if task.done():
            task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await kubelet.stop()


def _tell(task: asyncio.Task[None]) -> None:
    """In the log of the test that waits in vain."""
    if not task.cancelled() and (error := task.exception()):
        logger.error("the kubelet has failed", exc_info=error)


def waiting(reason: str, message: str = "words") -> Manifest:
    """A status: the runtime container waits for that reason."""
    container = {
        "name": "runtime",
        "image": "any",
        "imageID": "",
        "ready": False,
        "started": False,
        "restartCount": 3,
        "state": {"waiting": {"reason": reason, "message": message}},
    }
    if reason != "CrashLoopBackOff":
        return {"phase": "Pending", "containerStatuses": [container]}
    container["lastState"] = {"terminated": {"exitCode": 1, "reason": "Error"}}
    return {"phase": "Running", "containerStatuses": [container]}


UNSCHEDULABLE: Manifest = {
    "phase": "Pending",
    "conditions": [
        {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": "0/3 nodes are available: 3 Insufficient memory.",
        }
    ],
}
