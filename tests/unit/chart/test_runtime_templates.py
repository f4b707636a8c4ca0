"""The RuntimeTemplates that travel in the ConfigMap, and the pods that come of them."""

from typing import Any

import pytest

from conversations.api import labels
from conversations.api.template import RuntimeTemplate, RuntimeTemplateSpec
from conversations.core.build import build_pod
from conversations.core.observed import Conversation, ConversationMeta
from conversations.core.template import Template
from tests.rig.helm import ChartRefused, Helm, Rendering
from tests.unit.chart.pod_security import find_violations

Manifest = dict[str, Any]


def default_spec(rendering: Rendering) -> RuntimeTemplateSpec:
    """As the API's model reads it."""
    manifest = rendering.runtime_templates()["default"]
    spec = RuntimeTemplate.model_validate(manifest).spec
    unknown = manifest["spec"].keys() - spec.model_dump(by_alias=True).keys()
    assert not unknown, f"the API server would drop {unknown}"
    return spec


def pod_from(rendering: Rendering) -> Manifest:
    """The pod that the operator makes of the default template."""
    template = Template("default", "template-uid", 1, default_spec(rendering))
    conversation = Conversation(ConversationMeta(name="hello", uid="0000"))
    return build_pod(conversation, template, "hash")


def runtime_of(pod: Manifest) -> Manifest:
    [container] = pod["spec"]["containers"]
    assert container["name"] == "runtime"
    return container


def test_the_pod_passes_restricted(rendering: Rendering) -> None:
    pod = pod_from(rendering)
    assert find_violations(pod["spec"]) == []
    assert runtime_of(pod)["securityContext"]["readOnlyRootFilesystem"] is True
    assert pod["spec"]["automountServiceAccountToken"] is False


def test_the_network_policies_select_the_pod(rendering: Rendering) -> None:
    deny = rendering.find("NetworkPolicy", "conversation-operator-runtimes-default-deny")
    wanted = deny["spec"]["podSelector"]["matchLabels"]
    assert wanted.items() <= pod_from(rendering)["metadata"]["labels"].items()


def test_labels_of_the_admin_cannot_take_the_pod_out_of_the_policies(helm: Helm) -> None:
    evading = {labels.COMPONENT: "other", labels.MANAGED_BY: "other", "team": "a"}
    pod = pod_from(helm.render({"defaultTemplate": {"podLabels": evading}}))
    assert pod["metadata"]["labels"][labels.COMPONENT] == labels.RUNTIME_COMPONENT
    assert pod["metadata"]["labels"][labels.MANAGED_BY] == labels.MANAGER
    assert pod["metadata"]["labels"]["team"] == "a"


def test_resources_are_requested_and_limited(rendering: Rendering) -> None:
    resources = runtime_of(pod_from(rendering))["resources"]
    for kind in ("requests", "limits"):
        assert resources[kind].keys() == {"cpu", "memory", "ephemeral-storage"}


def test_workspace_is_a_claim(rendering: Rendering) -> None:
    workspace = default_spec(rendering).workspace
    assert workspace.empty_dir is None
    claim = workspace.persistent_volume_claim
    assert claim is not None
    assert (claim.size, claim.storage_class_name, claim.retention) == ("10Gi", None, "Delete")


def test_claim_values(helm: Helm) -> None:
    values = {"size": "2Gi", "storageClassName": "fast", "retention": "Retain"}
    rendering = helm.render({"defaultTemplate": {"workspace": values}})
    claim = default_spec(rendering).workspace.persistent_volume_claim
    assert claim is not None
    assert (claim.size, claim.storage_class_name, claim.retention) == ("2Gi", "fast", "Retain")


@pytest.mark.parametrize("loss", ["Refuse", "Accept"])
def test_workspace_as_empty_dir(helm: Helm, loss: str) -> None:
    values = {"kind": "EmptyDir", "size": "3Gi", "lossOnPause": loss}
    rendering = helm.render({"defaultTemplate": {"workspace": values}})
    workspace = default_spec(rendering).workspace
    assert workspace.persistent_volume_claim is None
    assert workspace.empty_dir is not None
    assert workspace.empty_dir.size_limit == "3Gi"
    assert workspace.loss_on_pause == loss
    volumes = {volume["name"]: volume for volume in pod_from(rendering)["spec"]["volumes"]}
    assert volumes["workspace"]["emptyDir"] == {"sizeLimit": "3Gi"}


def test_pod_values_reach_the_pod(helm: Helm) -> None:
    pod_spec = {
        "nodeSelector": {"pool": "agents"},
        "tolerations": [{"key": "agents", "operator": "Exists"}],
        "runtimeClassName": "gvisor",
        "imagePullSecrets": [{"name": "registry"}],
    }
    values = {
        "image": "registry.example/runtime:1",
        "imagePullPolicy": "Always",
        "port": 9000,
        "allowedImages": ["registry.example/*:*"],
        "env": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
        "podAnnotations": {"note": "x"},
        "podSpec": pod_spec,
    }
    rendering = helm.render({"defaultTemplate": values})
    pod = pod_from(rendering)
    assert {key: pod["spec"][key] for key in pod_spec} == pod_spec
    runtime = runtime_of(pod)
    assert (runtime["image"], runtime["imagePullPolicy"]) == (
        "registry.example/runtime:1",
        "Always",
    )
    assert {"name": "HTTPS_PROXY", "value": "http://proxy:3128"} in runtime["env"]
    assert runtime["ports"] == [{"name": "http", "containerPort": 9000}]
    assert pod["metadata"]["annotations"]["note"] == "x"
    assert default_spec(rendering).allowed_images == ["registry.example/*:*"]


def test_containers_belong_in_a_template_of_ones_own(helm: Helm) -> None:
    with pytest.raises(ChartRefused, match="podSpec"):
        helm.render({"defaultTemplate": {"podSpec": {"containers": []}}})


def test_more_templates(helm: Helm) -> None:
    spec = {"pod": {"spec": {"containers": [{"name": "runtime", "image": "a:{{ not helm }}"}]}}}
    templates = helm.render({"templates": {"small": spec}}).runtime_templates()
    assert templates.keys() == {"default", "small"}
    assert templates["small"]["spec"] == spec


def test_without_the_default_one(helm: Helm) -> None:
    assert helm.render({"defaultTemplate": {"enabled": False}}).runtime_templates() == {}


def test_two_templates_of_one_name_are_refused(helm: Helm) -> None:
    with pytest.raises(ChartRefused, match="both make the template `default`"):
        helm.render({"templates": {"default": {"pod": {}}}})
