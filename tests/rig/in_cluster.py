"""Servers that tests need inside the real cluster, as pods that Pod Security `restricted` takes."""

import asyncio
import json
from collections.abc import Sequence

from tests.rig.api import Manifest
from tests.rig.kubectl import Kubectl
from tests.rig.waiting import eventually

READY_SECONDS = 120
FILES = "/files"
"""Where a pod finds the files it is given."""


def a_server(
    name: str, image: str, command: Sequence[str], port: int, files: dict[str, str] | None = None
) -> list[Manifest]:
    """A ConfigMap with `files`, a pod that runs `command`, and a Service of that name and port."""
    container = {
        "name": "server",
        "image": image,
        "imagePullPolicy": "Never",
        "command": list(command),
        "workingDir": "/tmp",
        "env": [{"name": "HOME", "value": "/tmp"}, {"name": "PORT", "value": str(port)}],
        "readinessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},
            {"name": "files", "mountPath": FILES},
        ],
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 1,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 10001,
                "runAsGroup": 10001,
                "fsGroup": 10001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
            "volumes": [
                {"name": "tmp", "emptyDir": {}},
                {"name": "files", "configMap": {"name": name}},
            ],
        },
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [{"port": port}]},
    }
    return [a_config_map(name, files or {}), pod, service]


def a_config_map(name: str, files: dict[str, str]) -> Manifest:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": files}


def apply(kubectl: Kubectl, namespace: str, manifests: Sequence[Manifest]) -> None:
    """Create or change all of them, with one call."""
    objects = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
    arguments = ("apply", "--server-side", "--force-conflicts", "-n", namespace, "-f", "-")
    kubectl(*arguments, input=json.dumps(objects))


async def pods_ready(kubectl: Kubectl, namespace: str, names: Sequence[str]) -> None:
    """Return when these pods are Ready."""

    async def not_ready() -> list[str]:
        done = await asyncio.to_thread(kubectl, "get", "pods", "-n", namespace, "-o", "json")
        ready = {
            pod["metadata"]["name"]
            for pod in json.loads(done.stdout)["items"]
            for condition in pod.get("status", {}).get("conditions", [])
            if condition["type"] == "Ready" and condition["status"] == "True"
        }
        await asyncio.sleep(0.5)
        return sorted(set(names) - ready)

    async def all_ready() -> bool:
        return not await not_ready()

    await eventually(all_ready, READY_SECONDS, lambda: f"{names} to be Ready in {namespace}")
