"""
Install, upgrade, roll back, uninstall and install again, with a conversation running all the while.

The conversation is a real agent-server; what it must not notice is checked by talking to it without
a pause.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from tests.e2e.chart.release import VALUES, Release, print_seconds
from tests.rig.helm import RELEASE
from tests.rig.waiting import eventually

Manifest = dict[str, Any]

CHANGED: Manifest = {
    "operator": {**VALUES["operator"], "log": {"level": "DEBUG"}, "workers": 8},
    "defaultTemplate": {
        **VALUES["defaultTemplate"],
        "env": [{"name": "UPGRADED", "value": "yes"}],
    },
    "runtimes": {"egress": {"public": False}},
}


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
    print_seconds("garbage collection", began)
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
