"""Templates and Conversations as the tests write them."""

from typing import Any

from conversations.api.group import API_VERSION, CONVERSATION_KIND, TEMPLATE_KIND
from tests.rig.api import Manifest

IMAGE = "conversation-operator/agent-server:dev"

BEHAVIOUR = "kwok.test/behaviour"
"""Annotation of a pod on a fake node: what it pretends; see hack/cluster/kwok/stages."""

EMPTY_DIR: Manifest = {"emptyDir": {}, "lossOnPause": "Accept"}
PERSISTENT: Manifest = {"persistentVolumeClaim": {"size": "1Gi"}}


def a_template(name: str = "default", workspace: Manifest = EMPTY_DIR, **pod: Any) -> Manifest:
    """A RuntimeTemplate; keywords go into the pod's spec, `annotations` into its metadata."""
    annotations = pod.pop("annotations", {})
    container = {"name": "runtime", "image": IMAGE, **pod.pop("container", {})}
    return {
        "apiVersion": API_VERSION,
        "kind": TEMPLATE_KIND,
        "metadata": {"name": name},
        "spec": {
            "pod": {
                "metadata": {"annotations": annotations},
                "spec": {"containers": [container], **pod},
            },
            "workspace": workspace,
        },
    }


def a_conversation(name: str = "talk", **spec: Any) -> Manifest:
    return {
        "apiVersion": API_VERSION,
        "kind": CONVERSATION_KIND,
        "metadata": {"name": name},
        "spec": spec,
    }
