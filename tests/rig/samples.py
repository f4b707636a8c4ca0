"""The samples of RuntimeTemplates, on this machine's images."""

import yaml

from tests.rig.api import Manifest
from tests.rig.operator import REPOSITORY

SAMPLES = REPOSITORY / "manifests/samples"


def runtime_sample(sample: str, name: str) -> Manifest:
    """That sample by another name, with this machine's build of each image."""
    template: Manifest = yaml.safe_load((SAMPLES / f"runtimetemplate-{sample}.yaml").read_text())
    template["metadata"]["name"] = name
    for container in template["spec"]["pod"]["spec"]["containers"]:
        image = container["image"].rpartition("/")[2].partition(":")[0]
        container.update(image=f"conversation-operator/{image}:dev", imagePullPolicy="Never")
    return template
