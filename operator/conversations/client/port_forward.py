"""
A way to pods from outside the cluster: `kubectl port-forward`, one process per pod.

kubectl knows every way there is to log in to a cluster, and its tunnel ends with its pod: it can
never come out at another pod that was given the same address.
"""

import asyncio
import re
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Sequence
from dataclasses import dataclass

from conversations.api.conversation import Conversation
from conversations.api.labels import RUNTIME_PORT
from conversations.client.pods import Pods
from conversations.core.errors import InvalidRequest, RuntimeUnavailable

_FORWARDING = re.compile(rb"Forwarding from 127\.0\.0\.1:(\d+) ")
START_SECONDS = 30.0
STOP_SECONDS = 5.0


@dataclass(frozen=True)
class Tunnel:
    """One running kubectl."""

    process: Process
    drain: asyncio.Task[None]
    url: str

    async def check(self, conversation: Conversation) -> None:
        """kubectl ends with the pod that it was started for."""
        if self.process.returncode is not None:
            raise RuntimeUnavailable("kubectl port-forward has ended: try again")

    async def aclose(self) -> None:
        await _end(self.process)
        await self.drain


class PortForwards:
    """Makes tunnels.  Nothing secret is ever in kubectl's arguments."""

    def __init__(self, pods: Pods, namespace: str, kubectl: str, flags: Sequence[str]) -> None:
        self._pods = pods
        self._command = (kubectl, "port-forward", "--namespace", namespace, *flags)

    async def open_route(self, conversation: Conversation) -> Tunnel:
        """A tunnel from loopback to the pod of status.podUID, or RuntimeUnavailable."""
        pod = await self._pods.get_runtime_pod(conversation)
        tunnel = await self._start(pod.metadata.name, pod.metadata.annotations[RUNTIME_PORT])
        try:
            # Again: a pod that took this name in between would be at the tunnel's other end.
            await self._pods.get_runtime_pod(conversation)
        except BaseException:
            await tunnel.aclose()
            raise
        return tunnel

    async def _start(self, pod: str, port: str) -> Tunnel:
        command = (*self._command, "--address", "127.0.0.1", f"pod/{pod}", f":{port}")
        try:
            process = await asyncio.create_subprocess_exec(
                *command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE
            )
        except OSError:
            raise InvalidRequest(
                f"{command[0]!r} cannot be run: outside a cluster pods are reached through "
                "kubectl port-forward; name it with kubectl=, or use access='direct'"
            ) from None
        try:
            local_port = await asyncio.wait_for(_local_port(process), START_SECONDS)
        except TimeoutError:
            await _end(process)
            raise RuntimeUnavailable("kubectl port-forward has nothing to say") from None
        except BaseException:
            await _end(process)
            raise
        drain = asyncio.create_task(_drain(process))
        return Tunnel(process, drain, f"http://127.0.0.1:{local_port}")


async def _local_port(process: Process) -> int:
    assert process.stdout is not None and process.stderr is not None
    if match := _FORWARDING.match(await process.stdout.readline()):
        return int(match[1])
    words = (await process.stderr.read(2000)).decode(errors="replace").strip()
    raise RuntimeUnavailable(f"kubectl port-forward: {words or 'it ended without a word'}")


async def _drain(process: Process) -> None:
    """kubectl writes a line for every connection; a full pipe would stop it."""
    assert process.stdout is not None and process.stderr is not None

    async def swallow(stream: asyncio.StreamReader) -> None:
        while await stream.read(65536):
            pass

    await asyncio.gather(swallow(process.stdout), swallow(process.stderr))


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()
