"""An OpenHands server in the real cluster: deployed as the sample says, used through its HTTP API."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.rig.api import Manifest
from tests.rig.in_cluster import apply
from tests.rig.kubectl import Kubectl
from tests.rig.waiting import eventually

SAMPLE = Path(__file__).parents[2] / "manifests/samples/openhands-server.yaml"
SAMPLE_NAME = "openhands-server"
IMAGE = "conversation-operator/openhands-server:dev"
BOOT_SECONDS = 300
LOOK_SECONDS = 0.5
"""Between two looks: the server limits each client to ten requests a second."""
USER_HEADER = "X-Test-User"


class OuterFailed(AssertionError):
    """The server answered with a status that the test did not expect."""


def outer_manifests(name: str, env: Mapping[str, str]) -> list[Manifest]:
    """The objects of the sample under another name, with the test's image and environment."""
    text = SAMPLE.read_text().replace(SAMPLE_NAME, name)
    manifests: list[Manifest] = list(yaml.safe_load_all(text))
    container = server_container(manifests)
    container.update(image=IMAGE, imagePullPolicy="Never")
    # The tests run several of them on two cores.
    container["resources"]["requests"]["cpu"] = "10m"
    set_env(container, env)
    return manifests


def server_container(manifests: list[Manifest]) -> Manifest:
    container: Manifest = pod_spec(manifests)["containers"][0]
    return container


def pod_spec(manifests: list[Manifest]) -> Manifest:
    deployment = next(each for each in manifests if each["kind"] == "Deployment")
    spec: Manifest = deployment["spec"]["template"]["spec"]
    return spec


def set_env(container: Manifest, env: Mapping[str, str]) -> None:
    """Set these variables, in place of those of the same names."""
    kept = [entry for entry in container["env"] if entry["name"] not in env]
    container["env"] = kept + [{"name": name, "value": value} for name, value in env.items()]


def mount(spec: Manifest, config_map: str, path: str) -> None:
    """Mount the files of a ConfigMap into the pod's only container."""
    spec["volumes"].append({"name": config_map, "configMap": {"name": config_map}})
    spec["containers"][0]["volumeMounts"].append({"name": config_map, "mountPath": path})


class Outer:
    """
    One installation: a Deployment of servers behind a Service.

    Every request has a connection of its own, so that any replica may answer it.
    """

    def __init__(self, kubectl: Kubectl, namespace: str, name: str) -> None:
        self._kubectl = kubectl
        self.namespace = namespace
        self.name = name
        self._url = ""

    async def deploy(self, manifests: list[Manifest]) -> None:
        """Apply the manifests; return when every replica is Ready."""
        await asyncio.to_thread(apply, self._kubectl, self.namespace, manifests)
        service = await self.kubectl("get", "service", self.name, "-o", "json")
        self._url = f"http://{json.loads(service)['spec']['clusterIP']}"
        await self.ready()

    async def ready(self) -> None:
        """Return when every replica is Ready and no other pod is left."""
        await eventually(self._is_ready, BOOT_SECONDS, self._tail)

    async def _is_ready(self) -> bool:
        await asyncio.sleep(LOOK_SECONDS)
        deployment = json.loads(await self.kubectl("get", "deployment", self.name, "-o", "json"))
        status, wanted = deployment.get("status", {}), deployment["spec"]["replicas"]
        return bool(
            status.get("observedGeneration") == deployment["metadata"]["generation"]
            and status.get("updatedReplicas") == status.get("readyReplicas") == wanted
            and len(await self.pods()) == wanted
        )

    async def kubectl(self, *args: str) -> str:
        """kubectl in the server's namespace; its output."""
        done = await asyncio.to_thread(self._kubectl, "-n", self.namespace, *args)
        return done.stdout

    async def pods(self) -> list[Manifest]:
        label = f"app.kubernetes.io/name={self.name}"
        found: list[Manifest] = json.loads(
            await self.kubectl("get", "pods", "-l", label, "-o", "json")
        )["items"]
        return found

    async def kill(self) -> None:
        """SIGKILL the server of every replica; return once the kubelet has noticed."""
        before = await self._restarts()
        for pod in await self.pods():
            # To all processes but this shell and the first one, whose end follows from theirs.
            await self.kubectl("exec", pod["metadata"]["name"], "--", "sh", "-c", "kill -9 -1")

        async def noticed() -> bool:
            return await self._restarts() >= before + len(await self.pods())

        await eventually(noticed, BOOT_SECONDS, "the kubelet to restart the server")

    async def _restarts(self) -> int:
        return sum(
            status["restartCount"]
            for pod in await self.pods()
            for status in pod["status"].get("containerStatuses", [])
        )

    async def logs(self) -> str:
        """What all replicas have printed."""
        label = f"app.kubernetes.io/name={self.name}"
        return await self.kubectl("logs", "-l", label, "--tail=-1", "--prefix")

    def _tail(self) -> str:
        label = f"app.kubernetes.io/name={self.name}"
        arguments = ("-n", self.namespace, "-l", label)
        logs = self._kubectl("logs", *arguments, "--tail=30", check=False)
        pods = self._kubectl("get", "pods", *arguments, check=False)
        return f"{self.name} to be ready\n{pods.stdout}\n{logs.stdout}{logs.stderr}"

    async def call(
        self, method: str, path: str, *, user: str | None = None, expect: int = 200, **options: Any
    ) -> Any:
        """One request below /api; the answer's JSON.  OuterFailed for any status but `expect`."""
        headers = {USER_HEADER: user} if user else {}
        async with httpx.AsyncClient(base_url=self._url, timeout=90, trust_env=False) as client:
            reply = await client.request(method, f"/api{path}", headers=headers, **options)
        if reply.status_code != expect:
            raise OuterFailed(f"{method} {path}: {reply.status_code} {reply.text[:500]}")
        return reply.json() if "json" in reply.headers.get("content-type", "") else reply.text
