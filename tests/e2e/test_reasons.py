"""
Why a conversation is not ready, as a real kubelet, scheduler and admission show it.

All causes run side by side under one operator.
"""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from conversations.core.observed import Pod
from conversations.core.readiness import explain_pod
from tests.rig.kubectl import Kubectl
from tests.rig.manifests import a_conversation, a_template
from tests.rig.namespaces import RESTRICTED, fresh_namespace
from tests.rig.operator import Operator
from tests.rig.waiting import eventually

Manifest = dict[str, Any]

PYTHON_IMAGE = "conversation-operator/operator:dev"
SHOWN_SECONDS = 120
"""How long the cluster itself may take on a busy machine to show the cause."""
LATE_SECONDS = 5


def python(program: str, **container: Any) -> Manifest:
    """A runtime container that is a Python program and does not speak HTTP."""
    return {
        "image": PYTHON_IMAGE,
        "imagePullPolicy": "Never",
        "command": ["python", "-c", program],
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi", "ephemeral-storage": "1Mi"}},
        **container,
    }


class Cause(NamedTuple):
    """A template that ends in `reason`; `words` must be part of the message."""

    reason: str
    template: Manifest
    words: str


SERVE_THEN_FAIL = """
import http.server, time
began = time.monotonic()
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/alive" or time.monotonic() - began < 8 else 503)
        self.end_headers()
http.server.ThreadingHTTPServer(("", 8000), Handler).serve_forever()
"""
IMPATIENT = {"httpGet": {"path": "/ready", "port": 8000}, "periodSeconds": 1, "failureThreshold": 1}

CAUSES = {
    "image": Cause(
        "ImageUnavailable",
        a_template(
            container={"image": "conversation-operator/absent:dev", "imagePullPolicy": "Never"}
        ),
        "conversation-operator/absent:dev",
    ),
    "config": Cause(
        "ConfigError",
        a_template(
            container=python(
                "pass",
                env=[
                    {
                        "name": "MISSING",
                        "valueFrom": {"secretKeyRef": {"name": "no-such-secret", "key": "any"}},
                    }
                ],
            )
        ),
        "no-such-secret",
    ),
    "crash": Cause("CrashLoop", a_template(container=python("raise SystemExit(3)")), "code 3"),
    "memory": Cause(
        "OutOfMemory",
        a_template(
            container=python(
                "x = bytearray(512 << 20)",
                resources={"requests": {"cpu": "10m"}, "limits": {"memory": "64Mi"}},
            )
        ),
        "memory",
    ),
    "node": Cause(
        "Unschedulable",
        a_template(container=python("pass"), nodeSelector={"no-such-label": "true"}),
        "nodes are available",
    ),
    "rejected": Cause(
        "PodRejected",
        a_template(
            container=python(
                "pass",
                securityContext={"privileged": True, "allowPrivilegeEscalation": True},
            )
        ),
        "PodSecurity",
    ),
    "silent": Cause(
        "NotResponding",
        a_template(container=python(SERVE_THEN_FAIL, readinessProbe=IMPATIENT)),
        "readiness probe",
    ),
    "booting": Cause(
        "Booting",
        a_template(container=python("import time; time.sleep(3600)")),
        "nothing is wrong",
    ),
}


class Seen:
    """Every `conversation/reason`: when a pod first showed it, when and how it was first told."""

    def __init__(self, kubectl: Kubectl, namespace: str) -> None:
        self._kubectl = kubectl
        self._namespace = namespace
        self.messages: dict[str, str] = {}
        self.told: dict[str, float] = {}
        self.shown: dict[str, float] = {}

    async def look(self) -> None:
        kinds = "pods,conversations"
        done = await asyncio.to_thread(
            self._kubectl, "get", kinds, "-n", self._namespace, "-o", "json"
        )
        now = time.monotonic()
        for item in json.loads(done.stdout)["items"]:
            if item["kind"] == "Pod":
                self._look_at_pod(item, now)
            else:
                self._look_at_conversation(item, now)

    def lateness(self) -> dict[str, float]:
        """Seconds from shown to told, of what a pod shows by itself."""
        return {
            word: self.told[word] - self.shown[word]
            for word in self.told.keys() & self.shown.keys()
        }

    def _look_at_pod(self, item: Manifest, now: float) -> None:
        pod = msgspec.convert(item, Pod)
        finding = explain_pod(pod, was_ready=False)
        name = pod.metadata.labels["conversation-operator.io/template"]
        self.shown.setdefault(f"{name}/{finding.reason}", now)

    def _look_at_conversation(self, item: Manifest, now: float) -> None:
        for condition in item.get("status", {}).get("conditions", []):
            if condition["type"] == "Ready":
                word = f"{item['metadata']['name']}/{condition['reason']}"
                self.messages.setdefault(word, condition["message"])
                self.told.setdefault(word, now)


@pytest.fixture
def namespace(kubectl: Kubectl, crds: None) -> Iterator[str]:
    """A fresh namespace under Pod Security `restricted`."""
    yield from fresh_namespace(kubectl, RESTRICTED)


@pytest.mark.timeout(300)
async def test_every_cause_is_told_from_the_others(
    kubectl: Kubectl, real: Path, namespace: str, tmp_path: Path
) -> None:
    for name, cause in CAUSES.items():
        template = {**cause.template, "metadata": {"name": name}}
        kubectl("create", "-n", namespace, "-f", "-", input=json.dumps(template))
        conversation = a_conversation(name, template=name)
        kubectl("create", "-n", namespace, "-f", "-", input=json.dumps(conversation))
    operator = Operator(real, namespace, tmp_path)
    await operator.start()
    seen = Seen(kubectl, namespace)

    async def all_told() -> bool:
        await seen.look()
        return all(f"{name}/{cause.reason}" in seen.messages for name, cause in CAUSES.items())

    try:
        await eventually(all_told, SHOWN_SECONDS, lambda: f"told so far: {sorted(seen.messages)}")
    finally:
        await operator.stop()
    for name, cause in CAUSES.items():
        assert cause.words in seen.messages[f"{name}/{cause.reason}"]
    late = {word: seconds for word, seconds in seen.lateness().items() if seconds > LATE_SECONDS}
    assert len(seen.lateness()) >= len(CAUSES) - 2, "pods show all but a refusal and a silence"
    assert not late


@pytest.mark.timeout(300)
async def test_a_full_disk_is_told_and_the_pod_replaced(
    kubectl: Kubectl, real: Path, namespace: str, tmp_path: Path
) -> None:
    fill = "open('/workspace/full', 'wb').write(bytes(32 << 20)); import time; time.sleep(3600)"
    workspace = {"emptyDir": {"sizeLimit": "1Mi"}}
    template = a_template(workspace=workspace, container=python(fill))
    kubectl("create", "-n", namespace, "-f", "-", input=json.dumps(template))
    kubectl("create", "-n", namespace, "-f", "-", input=json.dumps(a_conversation("full")))
    operator = Operator(real, namespace, tmp_path)
    await operator.start()

    async def replaced() -> Manifest | None:
        done = await asyncio.to_thread(
            kubectl, "get", "conversation", "full", "-n", namespace, "-o", "json"
        )
        status: Manifest = json.loads(done.stdout).get("status", {})
        return status if status.get("lastRestartReason") else None

    try:
        status = await eventually(replaced, SHOWN_SECONDS, "the eviction to be counted")
    finally:
        await operator.stop()
    assert status["lastRestartReason"] == "DiskFull"
    assert status["restarts"] == 1
    events = kubectl(
        "get", "events", "-n", namespace, "--field-selector", "reason=DiskFull", "-o", "json"
    )
    assert len(json.loads(events.stdout)["items"]) == 1


@pytest.mark.timeout(120)
async def test_quota_is_told_and_tried_again_when_freed(
    kubectl: Kubectl, real: Path, namespace: str, tmp_path: Path
) -> None:
    quota = ("quota", "pods", "-n", namespace)
    kubectl("create", *quota, "--hard=pods=0")
    await eventually(
        lambda: kubectl("get", *quota, "-o", "jsonpath={.status.hard}").stdout, 30, "the quota"
    )
    template = a_template(container=python("import time; time.sleep(3600)"))
    kubectl("create", "-n", namespace, "-f", "-", input=json.dumps(template))
    kubectl("create", "-n", namespace, "-f", "-", input=json.dumps(a_conversation("waiting")))
    operator = Operator(real, namespace, tmp_path)
    await operator.start()

    def reason() -> str:
        path = "jsonpath={.status.conditions[?(@.type=='Ready')].reason}"
        return kubectl("get", "conversation", "waiting", "-n", namespace, "-o", path).stdout

    try:
        began = time.monotonic()
        await eventually(lambda: reason() == "QuotaExceeded", 30, reason)
        assert time.monotonic() - began < LATE_SECONDS + 2
        kubectl("delete", *quota)
        await eventually(lambda: reason() == "Booting", 60, reason)
    finally:
        await operator.stop()
