"""RuntimeTemplates of protocol OpenHandsV0, for real pods and for pods that nobody runs."""

from typing import Any

import yaml
from tests.openhands.rig.templates import v0_template
from tests.rig.manifests import EMPTY_DIR
from tests.rig.operator import REPOSITORY

Manifest = dict[str, Any]

IMAGE = "conversation-operator/openhands-v0:dev"
SAMPLES = {"cli": "openhands-v0-cli", "local": "openhands-v0"}
"""The samples by the nested server's RUNTIME."""


def stub_template(port: int) -> Manifest:
    """`default`: its pods are left to bench.openhands.pods."""
    return v0_template("default", EMPTY_DIR, port)


def sample_template(kind: str) -> Manifest:
    """The sample, with the image of this machine."""
    path = REPOSITORY / "manifests" / "samples" / f"runtimetemplate-{SAMPLES[kind]}.yaml"
    template: Manifest = yaml.safe_load(path.read_text())
    template["metadata"]["name"] = kind
    for container in template["spec"]["pod"]["spec"]["containers"]:
        container.update(image=IMAGE, imagePullPolicy="Never")
    return template
