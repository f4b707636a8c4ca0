"""
Install, upgrade, roll back, uninstall and install again, with a conversation running all the while.

The conversation is a real agent-server; what it must not notice is checked by talking to it without
a pause.
"""

import asyncio
import json
import os
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.rig.cluster import cache_directory
from tests.rig.helm import RELEASE, Helm, find_helm
from tests.rig.kubectl import Kubectl
from tests.rig.namespaces import RESTRICTED, fresh_namespace
from tests.rig.waiting import eventually

Manifest = dict[str, Any]

READY_SECONDS = 180
"""An agent-server boots for 10 to 25 s, more on a busy machine."""
ROLLOUT = "120s"
IMAGES = ("operator", "agent-server")
VALUES: Manifest = {
    "operator": {"image": {"repository": "conversation-operator/operator", "tag": "dev"}},
    "defaultTemplate": {
        "image": "conversation-operator/agent-server:dev",
        "resources": {"requests": {"cpu": "100m"}},
        "workspace": {"size": "1Gi"},
    },
}
CHANGED: Manifest = {
    "operator": {**VALUES["operator"], "log": {"level": "DEBUG"}, "workers": 8},
    "defaultTemplate": {
        **VALUES["defaultTemplate"],
        "env": [{"name": "UPGRADED", "value": "yes"}],
    },
    "runtimes": {"egress": {"public": False}},
}


@pytest.fixture(scope="module")
def helm(repository: Path, real: Path) -> Helm:
    return Helm(find_helm(), repository / "charts" / "conversation-operator", real)


@pytest.fixture(scope="module")
def images(repository: Path) -> None:
    """The operator's and the runtime's image are on the node, where the cluster is ours."""
    if "CONVERSATION_OPERATOR_TEST_CONTEXT" in os.environ:
        return
    archives = [str(cache_directory() / "images" / f"{name}.tar") for name in IMAGES]
    loader = repository / "hack" / "cluster" / "load-images.sh"
    subprocess.run([str(loader), *archives], check=True, timeout=300, capture_output=True)


@pytest.fixture
def namespace(kubectl: Kubectl) -> Iterator[str]:
    """A fresh namespace under Pod Security `restricted`."""
    yield from fresh_namespace(kubectl, RESTRICTED)


class Release:
    """One release in one namespace, and what is to be seen of it."""

    def __init__(self, helm: Helm, kubectl: Kubectl, chart: Path, namespace: str) -> None:
        self.namespace = namespace
        self.kubectl = kubectl
        self._helm = helm
        self._chart = str(chart)

    async def helm(self, command: str, values: Manifest | None = None) -> None:
        """install, upgrade, rollback or uninstall, until helm calls it done."""
        # Other releases in the same cluster had the CRDs before us.
        options = ["--take-ownership"] if command in ("install", "upgrade") else []
        chart = [self._chart] if command in ("install", "upgrade") else []
        arguments = [command, RELEASE, *chart, "-n", self.namespace, *options]
        began = time.monotonic()
        await asyncio.to_thread(
            self._helm, *arguments, "--wait", f"--timeout={ROLLOUT}", values=values
        )
        record_seconds(f"helm {command}", began)

    def get(self, kind: str, name: str) -> Manifest | None:
        done = self.kubectl("get", kind, name, "-n", self.namespace, "-o", "json", check=False)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def condition(self, kind: str, name: str, condition: str) -> Manifest:
        found = (self.get(kind, name) or {}).get("status", {}).get("conditions", [])
        return next((c for c in found if c["type"] == condition), {})

    def start(self, name: str) -> None:
        self.kubectl(
            *("apply", "-n", self.namespace, "-f", "-"),
            input=json.dumps(
                {
                    "apiVersion": "conversation-operator.io/v1alpha1",
                    "kind": "Conversation",
                    "metadata": {"name": name},
                }
            ),
        )

    async def wait_ready(self, name: str) -> None:
        began = time.monotonic()
        await eventually(
            lambda: self.condition("conversation", name, "Ready").get("status") == "True",
            READY_SECONDS,
            lambda: self.kubectl("describe", "conversation", name, "-n", self.namespace).stdout,
        )
        record_seconds(f"conversation {name} Ready", began)

    def pod_of(self, name: str) -> Manifest:
        conversation = self.get("conversation", name)
        assert conversation is not None
        pod = self.get("pod", conversation["status"]["podName"])
        assert pod is not None
        return pod


def record_seconds(what: str, began: float) -> None:
    """Shown by `pytest -s`."""
    os.write(1, f"\n{what}: {time.monotonic() - began:.1f} s".encode())


@asynccontextmanager
async def talking_to(pod: Manifest) -> AsyncIterator[Callable[[], int]]:
    """Ask the pod whether it is alive, ten times a second; every answer must be yes."""
    url = f"http://{pod['status']['podIP']}:8000/alive"
    answers: list[int] = []

    async def ask(session: aiohttp.ClientSession) -> None:
        while True:
            async with session.get(url) as reply:
                answers.append(reply.status)
            await asyncio.sleep(0.1)

    timeout = aiohttp.ClientTimeout(total=10)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        task = asyncio.create_task(ask(session))
        try:
            yield lambda: len(answers)
            assert not task.done(), f"the runtime stopped answering: {task.exception()}"
            assert set(answers) == {200}
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def essence(release: Release, name: str) -> Manifest:
    """What a disturbance would change."""
    pod = release.pod_of(name)
    conversation = release.get("conversation", name)
    assert conversation is not None
    return {
        "pod": pod["metadata"]["uid"],
        "containers": [c["containerID"] for c in pod["status"]["containerStatuses"]],
        "restarts": [c["restartCount"] for c in pod["status"]["containerStatuses"]],
        "generation": conversation["metadata"]["generation"],
        "ready": release.condition("conversation", name, "Ready")["lastTransitionTime"],
        "key": conversation["status"]["sessionKeyHash"],
        "url": conversation["status"]["url"],
    }


def up_to_date(release: Release, status: str) -> Callable[[], bool]:
    return lambda: release.condition("conversation", "hello", "UpToDate").get("status") == status


@pytest.fixture
async def release(
    helm: Helm, kubectl: Kubectl, repository: Path, namespace: str, images: None
) -> Release:
    return Release(helm, kubectl, repository / "charts" / "conversation-operator", namespace)


@pytest.mark.timeout(900)
async def test_a_running_conversation_outlives_every_change_of_the_release(
    release: Release,
) -> None:
    await release.helm("install", VALUES)
    release.start("hello")
    await release.wait_ready("hello")
    assert release.condition("runtimetemplate", "default", "Accepted")["status"] == "True"
    before = essence(release, "hello")

    async with talking_to(release.pod_of("hello")) as answers:
        await release.helm("upgrade", CHANGED)
        await eventually(up_to_date(release, "False"), 60, "the drift is reported")
        assert essence(release, "hello") == before

        release.start("second")
        await release.wait_ready("second")
        env = release.pod_of("second")["spec"]["containers"][0]["env"]
        assert {"name": "UPGRADED", "value": "yes"} in env

        await release.helm("rollback")
        await eventually(up_to_date(release, "True"), 60, "the drift is gone")
        assert essence(release, "hello") == before

        await release.helm("uninstall")
        assert release.get("deployment", RELEASE) is None
        assert essence(release, "hello") == before

        await release.helm("install", VALUES)
        await release.wait_ready("hello")
        assert essence(release, "hello") == before
        assert answers() > 100

    await remove_everything(release)


async def remove_everything(release: Release) -> None:
    """Conversations first, then the release; afterwards nothing of either is left."""
    began = time.monotonic()
    release.kubectl("delete", "conversations", "--all", "-n", release.namespace)
    await eventually(lambda: not left_of(release, "managed-by=conversation-operator"), 60)
    record_seconds("garbage collection", began)
    await release.helm("uninstall")
    await eventually(lambda: not left_of(release, f"instance={RELEASE}"), 60)
    crds = release.kubectl("get", "crd", "-o", "name").stdout
    assert "conversations.conversation-operator.io" in crds


def left_of(release: Release, label: str) -> str:
    """Names of what still carries that label in the namespace, and cluster roles of the release."""
    kinds = (
        "pods,secrets,configmaps,persistentvolumeclaims,serviceaccounts,services,deployments,"
        "roles,rolebindings,networkpolicies,poddisruptionbudgets"
    )
    selector = f"app.kubernetes.io/{label}"
    own = release.kubectl("get", kinds, "-n", release.namespace, "-l", selector, "-o", "name")
    wide = release.kubectl("get", "clusterroles", "-l", selector, "-o", "name").stdout.splitlines()
    return own.stdout + "".join(name for name in wide if f"{release.namespace}:" in name)


async def test_people_with_edit_may_use_conversations_and_nothing_more(
    release: Release, kubectl: Kubectl
) -> None:
    """Rights come with the release: `edit` is the cluster's own role, which ours aggregates to."""
    await release.helm("install", {**VALUES, "operator": {"replicas": 1, **VALUES["operator"]}})
    for role in ("edit", "view"):
        kubectl(
            *("create", "rolebinding", role, f"--clusterrole={role}", f"--user={role}or"),
            *("-n", release.namespace),
        )

    def may(user: str, verb: str, resource: str) -> bool:
        done = kubectl(
            *("auth", "can-i", verb, f"{resource}.conversation-operator.io", f"--as={user}"),
            *("-n", release.namespace),
            check=False,
        )
        return done.stdout.strip() == "yes"

    await eventually(lambda: may("editor", "create", "conversations"), 30, "aggregation")
    assert may("viewor", "watch", "conversations")
    assert not may("viewor", "create", "conversations")
    assert not may("editor", "patch", "conversations/status")
    assert not may("editor", "update", "runtimetemplates")
    await release.helm("uninstall")
