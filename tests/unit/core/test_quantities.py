"""A resource factor multiplies what people write for CPU and memory."""

import pytest

from conversations.core.build import build_pod, desired_hash
from conversations.core.quantities import times
from tests.unit.core.samples import KEY_HASH, a_conversation, a_template


@pytest.mark.parametrize(
    ("quantity", "factor", "product"),
    [
        ("250m", 4, "1000m"),
        ("1.5Gi", 2, "3Gi"),
        ("100Mi", 8, "800Mi"),
        (2, 4, "8"),
        (0.5, 2, "1"),
        ("1e3", 2, "2e3"),
        ("3G", 1, "3G"),
        ("lots", 2, "lots"),
        ("", 2, ""),
    ],
)
def test_times(quantity: object, factor: int, product: str) -> None:
    assert times(quantity, factor) == product


def test_the_runtime_container_alone_gets_more() -> None:
    wanted = {"requests": {"cpu": "250m", "memory": "1Gi", "nvidia.com/gpu": 1}, "limits": {}}
    containers = [
        {"name": "runtime", "image": "i", "resources": wanted},
        {"name": "sidecar", "image": "i", "resources": {"requests": {"cpu": "1"}, "limits": {}}},
    ]
    template = a_template(pod={"spec": {"containers": containers}})
    pod = build_pod(a_conversation(resourceFactor=4), template, KEY_HASH)
    runtime, sidecar = pod["spec"]["containers"]
    asked = runtime["resources"]["requests"]
    assert (asked["cpu"], asked["memory"], asked["nvidia.com/gpu"]) == ("1000m", "4Gi", 1)
    assert sidecar["resources"]["requests"]["cpu"] == "1"


def test_it_acts_at_the_next_start() -> None:
    template = a_template()
    plain = desired_hash(a_conversation(), template)
    assert desired_hash(a_conversation(resourceFactor=1), template) == plain
    assert desired_hash(a_conversation(resourceFactor=2), template) != plain
