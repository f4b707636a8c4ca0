"""The walk of `make demo`, so that the demo works on the day somebody tries it."""

import json
from pathlib import Path

import pytest
from hack.demo.walk import Steps, Walk

from conversations.client import Conversations
from tests.rig.kubectl import Kubectl
from tests.rig.manifests import PERSISTENT, a_template
from tests.rig.operator import Operator


@pytest.mark.timeout(420)
async def test_the_walk_ends_well(
    kubectl: Kubectl, real: Path, namespace: str, tmp_path: Path
) -> None:
    kubectl(
        "create", "-n", namespace, "-f", "-", input=json.dumps(a_template("default", PERSISTENT))
    )
    operator = Operator(real, namespace, tmp_path)
    await operator.start()
    lines: list[str] = []
    try:
        async with Conversations(namespace, kubeconfig=real, access="direct") as conversations:
            await Walk(conversations, Steps(lines.append), direct=True).run()
    finally:
        await operator.stop()
    assert not [line for line in lines if "FAILED" in line]
