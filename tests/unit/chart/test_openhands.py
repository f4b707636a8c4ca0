"""The values that docs/openhands.md shows: helm takes them, and the operator can make their pods."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from conversations.api import labels
from conversations.api.template import RuntimeTemplate
from conversations.core.build import build_pod
from conversations.core.observed import Conversation, ConversationMeta
from conversations.core.template import Template
from tests.rig.helm import Helm, Rendering
from tests.unit.chart.pod_security import find_violations
from tests.unit.chart.test_network_policies import CLIENT, RUNTIME, may_pod, rules_for
from tests.unit.test_docs import blocks

Manifest = dict[str, Any]

PAGE = Path(__file__).parents[3] / "docs" / "openhands.md"
NAME = "openhands-v0"
VALUES, CONFIG_TOML, POD_EXTRAS, EGRESS = (yaml.safe_load(text) for text in blocks(PAGE, "yaml"))
PORT = ("TCP", 3000)


@pytest.fixture(scope="module")
def release(helm: Helm) -> Rendering:
    return helm.render({**VALUES, "runtimes": VALUES["runtimes"] | EGRESS["runtimes"]})


def pod_of(rendering: Rendering) -> Manifest:
    manifest = rendering.runtime_templates()[NAME]
    spec = RuntimeTemplate.model_validate(manifest).spec
    unknown = manifest["spec"].keys() - spec.model_dump(by_alias=True).keys()
    assert not unknown, f"the API server would drop {unknown}"
    assert spec.protocol == "OpenHandsV0"
    conversation = Conversation(ConversationMeta(name="hello", uid="0000"))
    pod: Manifest = build_pod(conversation, Template(NAME, "uid", 1, spec), "hash")["spec"]
    return pod


def merged(extras: Manifest) -> Manifest:
    """The first values with what an example adds to the pod and its only container."""
    values: Manifest = yaml.safe_load(yaml.safe_dump(VALUES))
    base = values["templates"][NAME]["pod"]["spec"]
    more = extras["templates"][NAME]["pod"]["spec"]
    [container], [added] = base["containers"], more["containers"]
    values["templates"][NAME]["pod"]["spec"] = {
        **base,
        **more,
        "containers": [container | added],
    }
    return values


def test_the_pod_passes_restricted(release: Rendering) -> None:
    assert find_violations(pod_of(release)) == []


def test_the_servers_pods_get_in_on_the_templates_port(release: Rendering) -> None:
    rules = rules_for(release, RUNTIME, "ingress")
    assert may_pod(rules, "from", "openhands", CLIENT, PORT)
    assert not may_pod(rules, "from", "openhands", {labels.CLIENT_ACCESS: "no"}, PORT)


def test_the_servers_account_has_the_clients_rights(release: Rendering) -> None:
    binding = release.find("RoleBinding", "conversation-operator-client")
    account = {"kind": "ServiceAccount", "name": "openhands-server", "namespace": "openhands"}
    assert account in binding["subjects"]


def test_runtimes_reach_what_the_example_allows(release: Rendering) -> None:
    rules = rules_for(release, RUNTIME, "egress")
    server = {"app.kubernetes.io/name": "openhands-server"}
    assert may_pod(rules, "to", "models", {"app": "vllm"}, ("TCP", 8000))
    assert may_pod(rules, "to", "openhands", server, PORT)
    assert not may_pod(rules, "to", "openhands", {}, PORT)


@pytest.mark.parametrize("extras", [CONFIG_TOML, POD_EXTRAS], ids=["config.toml", "pod"])
def test_examples_for_the_pod(helm: Helm, extras: Manifest) -> None:
    pod = pod_of(helm.render(merged(extras)))
    added = extras["templates"][NAME]["pod"]["spec"]["containers"][0]
    [runtime] = pod["containers"]
    for part in added.keys() - {"name"}:
        assert all(entry in runtime[part] for entry in added[part]), part
    assert find_violations(pod) == []
