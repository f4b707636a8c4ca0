"""One release of our chart on a cluster, and what is to be seen of it."""

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

from tests.rig.helm import RELEASE, Helm
from tests.rig.kubectl import Kubectl
from tests.rig.waiting import eventually

Manifest = dict[str, Any]

READY_SECONDS = 180
"""An agent-server boots for 10 to 25 s, more on a busy machine."""
ROLLOUT = "120s"
VALUES: Manifest = {
    "operator": {"image": {"repository": "conversation-operator/operator", "tag": "dev"}},
    "defaultTemplate": {
        "image": "conversation-operator/agent-server:dev",
        "resources": {"requests": {"cpu": "100m"}},
        "workspace": {"size": "1Gi"},
    },
}


class Release:
    """The release, seen from the namespace of its runtimes."""

    def __init__(self, helm: Helm, kubectl: Kubectl, chart: Path, namespace: str) -> None:
        self.namespace = namespace
        self.kubectl = kubectl
        self._helm = helm
        self._chart = chart

    def of_namespace(self, namespace: str) -> "Release":
        """The same, where the runtimes have a namespace of their own."""
        return Release(self._helm, self.kubectl, self._chart, namespace)

    async def helm(self, command: str, values: Manifest | None = None) -> None:
        """install, upgrade, rollback or uninstall, until helm calls it done."""
        # Other releases in the same cluster had the CRDs before us.
        chart = [str(self._chart), "--take-ownership"] if values is not None else []
        arguments = [command, RELEASE, *chart, "-n", self.namespace]
        began = time.monotonic()
        await asyncio.to_thread(
            self._helm, *arguments, "--wait", f"--timeout={ROLLOUT}", values=values
        )
        print_seconds(f"helm {command}", began)

    def get(self, kind: str, name: str) -> Manifest | None:
        done = self.kubectl("get", kind, name, "-n", self.namespace, "-o", "json", check=False)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def condition(self, kind: str, name: str, condition: str) -> Manifest:
        found = (self.get(kind, name) or {}).get("status", {}).get("conditions", [])
        return next((c for c in found if c["type"] == condition), {})

    def start(self, name: str) -> None:
        manifest = {
            "apiVersion": "conversation-operator.io/v1alpha1",
            "kind": "Conversation",
            "metadata": {"name": name},
        }
        self.kubectl("apply", "-n", self.namespace, "-f", "-", input=json.dumps(manifest))

    async def wait_ready(self, name: str) -> None:
        began = time.monotonic()
        await eventually(
            lambda: self.condition("conversation", name, "Ready").get("status") == "True",
            READY_SECONDS,
            lambda: self.kubectl("describe", "conversation", name, "-n", self.namespace).stdout,
        )
        print_seconds(f"conversation {name} Ready", began)

    def pod_of(self, name: str) -> Manifest:
        conversation = self.get("conversation", name)
        assert conversation is not None
        pod = self.get("pod", conversation["status"]["podName"])
        assert pod is not None
        return pod

    def may(self, who: str, verb: str, resource: str) -> bool:
        """Whether the API server would let that user do it in this namespace."""
        plural, _, subresource = resource.partition("/")
        done = self.kubectl(
            *("auth", "can-i", verb, plural, f"--subresource={subresource}", f"--as={who}"),
            *("-n", self.namespace),
            check=False,
        )
        return done.stdout.strip() == "yes"


def print_seconds(what: str, began: float) -> None:
    """Shown by `pytest -s`."""
    os.write(1, f"\n{what}: {time.monotonic() - began:.1f} s".encode())
