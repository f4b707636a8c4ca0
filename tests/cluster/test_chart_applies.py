"""The API server takes everything that the chart renders (dry run: nothing is left behind)."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.rig.helm import Helm, find_helm
from tests.rig.kubectl import Kubectl

Manifest = dict[str, Any]

PEER = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "models"}}}
EVERYTHING: Manifest = {
    "operator": {
        "priorityClassName": "system-cluster-critical",
        "nodeSelector": {"pool": "system"},
        "tolerations": [{"key": "system", "operator": "Exists"}],
        "imagePullSecrets": [{"name": "registry"}],
        "affinity": {"podAntiAffinity": {}},
        "podLabels": {"a": "b"},
        "podAnnotations": {"c": "d"},
        "serviceAccount": {"annotations": {"e": "f"}},
    },
    "runtimes": {
        "egress": {
            "deny": ["8.8.8.0/24", "2606:4700::/32"],
            "allow": [{"to": [PEER], "ports": [{"protocol": "TCP", "port": 8000}]}],
        },
        "ingress": {"clientNamespaces": ["apps"], "from": [PEER], "extraPorts": [3000]},
    },
    "defaultTemplate": {
        "allowedImages": ["registry.example/*:*"],
        "env": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
        "podLabels": {"a": "b"},
        "podAnnotations": {"c": "d"},
        "podSpec": {"nodeSelector": {"pool": "agents"}, "runtimeClassName": "gvisor"},
        "workspace": {"storageClassName": "fast", "retention": "Retain"},
    },
    "templates": {
        "small": {
            "workspace": {"emptyDir": {"sizeLimit": "1Gi"}, "lossOnPause": "Accept"},
            "pod": {"spec": {"containers": [{"name": "runtime", "image": "runtime:1"}]}},
        }
    },
    "client": {
        "portForward": True,
        "subjects": [
            {"kind": "Group", "name": "developers", "apiGroup": "rbac.authorization.k8s.io"}
        ],
    },
    "networkPolicy": {"operatorFrom": [PEER]},
    "metrics": {"service": {"annotations": {"prometheus.io/scrape": "true"}}},
}
EMPTY_DIR: Manifest = {
    "defaultTemplate": {"workspace": {"kind": "EmptyDir", "lossOnPause": "Accept"}}
}


@pytest.fixture(scope="module")
def helm(repository: Path, kwok: Path) -> Helm:
    return Helm(find_helm(), repository / "charts" / "conversation-operator", kwok)


def dry_run(kubectl: Kubectl, namespace: str, manifests: list[Manifest]) -> list[str]:
    """What the API server says it would have written; unknown fields are errors, not warnings."""
    done = kubectl(
        *("apply", "--server-side", "--dry-run=server", "--validate=strict"),
        *("--force-conflicts", "-n", namespace, "-f", "-"),
        input=yaml.safe_dump_all(manifests),
    )
    assert "Warning" not in done.stderr, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    "values", [{}, EVERYTHING, EMPTY_DIR], ids=["defaults", "everything", "emptyDir"]
)
def test_the_api_server_takes_the_chart(
    helm: Helm, kubectl: Kubectl, namespace: str, values: Manifest
) -> None:
    rendering = helm.render(values, namespace=namespace)
    written = dry_run(kubectl, namespace, rendering.manifests)
    assert len(written) == len(rendering.manifests)
    templates = list(rendering.runtime_templates().values())
    assert len(dry_run(kubectl, namespace, templates)) == len(templates)


def test_the_api_server_takes_the_rendered_file(
    kubectl: Kubectl, namespace: str, repository: Path
) -> None:
    text = (repository / "manifests" / "install.yaml").read_text()
    manifests = [manifest for manifest in yaml.safe_load_all(text) if manifest]
    for manifest in manifests:
        if "namespace" in manifest["metadata"]:
            manifest["metadata"]["namespace"] = namespace
    assert len(dry_run(kubectl, namespace, manifests)) == len(manifests)


def test_the_operators_pod_is_admitted_under_restricted(
    helm: Helm, kubectl: Kubectl, namespace: str
) -> None:
    kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    rendering = helm.render(namespace=namespace)
    template = rendering.find("Deployment", "conversation-operator")["spec"]["template"]
    # Its own account would have to exist; Pod Security does not look at it.
    spec = {**template["spec"], "serviceAccountName": "default"}
    metadata = {**template["metadata"], "name": "operator", "namespace": namespace}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    assert len(dry_run(kubectl, namespace, [pod])) == 1
