"""Every command of the runbook works as it is written there, on a conversation that has a pod."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.test_api_printing import a_condition
from tests.rig.kubectl import Kubectl, find_binary
from tests.rig.manifests import a_conversation, a_template
from tests.rig.namespaces import fresh_namespace

RUNBOOK = (Path(__file__).parents[2] / "docs/runbook.md").read_text()
PREAMBLE, *BLOCKS = re.findall(r"```sh\n(.*?)```", RUNBOOK, flags=re.DOTALL)
"""The first block sets variables; each other is a case."""

NOTHING_THERE = re.compile(r"^No .* found.*\n", flags=re.MULTILINE)
NEEDS_KUBELET = re.compile(r"^kubectl logs .*\n", flags=re.MULTILINE)

POD = {"containers": [{"name": "runtime", "image": "agent"}]}
CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}


@pytest.fixture(scope="module")
def shared(kubectl: Kubectl, crds: None) -> Iterator[str]:
    yield from fresh_namespace(kubectl)


@pytest.fixture(scope="module")
def preamble(kubectl: Kubectl, shared: str) -> str:
    """The runbook's own first lines, filled in for a paused conversation with pod, Secret and claim."""
    namespace = ("-n", shared)
    create(kubectl, shared, a_template(container={"env": [{"name": "A", "value": "1"}]}))
    create(kubectl, shared, a_conversation("first"))
    found = kubectl("get", "conversation", "first", *namespace, "-o", "json").stdout
    name = f"conv-{json.loads(found)['metadata']['uid']}"
    create(kubectl, shared, a_core("Pod", name, spec=POD))
    create(kubectl, shared, a_core("Secret", name))
    create(kubectl, shared, a_core("PersistentVolumeClaim", name, spec=CLAIM))
    paused = {"status": {"conditions": [a_condition("Paused", "Paused", generation=99)]}}
    target = ("patch", "conversation", "first", *namespace, "--subresource=status")
    kubectl(*target, "--type=merge", "-p", json.dumps(paused))
    return re.sub(r"^NS=\S+", f"NS={shared}", PREAMBLE)


def a_core(kind: str, name: str, **fields: object) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, **fields}


def create(kubectl: Kubectl, namespace: str, manifest: dict[str, object]) -> None:
    kubectl("create", "-n", namespace, "-f", "-", input=json.dumps(manifest))


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_block(kwok: Path, preamble: str, block: str) -> None:
    kubectls = Path(find_binary("kubectl")).parent
    done = subprocess.run(
        ["bash", "-euo", "pipefail"],
        input=preamble + NEEDS_KUBELET.sub("", block),
        env=os.environ | {"KUBECONFIG": str(kwok), "PATH": f"{kubectls}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, NOTHING_THERE.sub("", done.stderr)) == (0, "")
