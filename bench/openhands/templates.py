"""RuntimeTemplates of protocol OpenHandsV0, for real pods and for pods that nobody runs."""

from typing import Any

from tests.openhands.rig.templates import v0_template
from tests.rig.manifests import EMPTY_DIR
from tests.rig.samples import runtime_sample

Manifest = dict[str, Any]

SAMPLES = {"cli": "openhands-v0-cli", "local": "openhands-v0"}
"""The samples by the nested server's RUNTIME."""


def stub_template(port: int) -> Manifest:
    """`default`: its pods are left to bench.openhands.pods."""
    return v0_template("default", EMPTY_DIR, port)


def sample_template(kind: str) -> Manifest:
    """The sample, with the image of this machine."""
    return runtime_sample(SAMPLES[kind], kind)
