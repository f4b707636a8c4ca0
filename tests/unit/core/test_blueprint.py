"""Any YAML may stand in a blueprint; what makes no pod is refused with the place."""

from typing import Any

import pytest

from conversations.api import labels
from conversations.core.start import why_not_start
from tests.unit.core.samples import (
    BLUEPRINT,
    a_template,
    a_world,
    blueprint,
    built,
)

NULLS: dict[str, Any] = {
    "metadata": None,
    "spec": {
        "containers": [
            {
                "name": "runtime",
                "image": "agent:1",
                "env": None,
                "ports": None,
                "volumeMounts": None,
                "securityContext": None,
                "resources": {"requests": None, "limits": None},
                "readinessProbe": None,
            }
        ],
        "initContainers": None,
        "volumes": None,
        "securityContext": None,
    },
}


def test_a_field_with_nothing_after_it_is_as_good_as_not_written() -> None:
    bare = blueprint()
    nulls, plain = a_template(pod=NULLS), a_template(pod=bare)
    assert nulls.problem is None
    ours, theirs = built(nulls), built(plain)
    for pod in (ours, theirs):
        del pod["metadata"]["annotations"][labels.DESIRED_HASH]
    assert ours == theirs


@pytest.mark.parametrize(
    ("pod", "words"),
    [
        ({}, "spec"),
        ({"spec": None}, "spec"),
        ({"spec": "text"}, "$.spec"),
        ({"spec": {}}, "containers"),
        ({"spec": {"containers": "text"}}, "$.spec.containers"),
        ({"spec": {"containers": []}}, "runtime"),
        ({"spec": {"containers": [{"name": "agent"}]}}, "runtime"),
        ({"spec": {"containers": [{"image": "x"}]}}, "name"),
        ({"spec": {"containers": [None]}}, "$.spec.containers[0]"),
        (blueprint({"env": {"A": "1"}}), "env"),
        (blueprint({"env": [{"value": "1"}]}), "name"),
        (blueprint({"env": ["A=1"]}), "env"),
        (blueprint({"ports": [8000]}), "ports"),
        (blueprint({"volumeMounts": "x"}), "volumeMounts"),
        (blueprint({"securityContext": "none"}), "securityContext"),
        (blueprint({"resources": {"limits": "2Gi"}}), "limits"),
        (blueprint(volumes=["x"]), "volumes"),
        (blueprint(initContainers="x"), "initContainers"),
        (blueprint(securityContext=[]), "securityContext"),
        (blueprint(metadata={"labels": ["a"]}), "labels"),
        (blueprint(metadata="x"), "metadata"),
    ],
)
def test_a_blueprint_that_makes_no_pod_is_refused_with_the_place(
    pod: dict[str, Any], words: str
) -> None:
    template = a_template(pod=pod)
    assert template.problem is not None and words in template.problem
    finding = why_not_start(a_world(template=template))
    assert finding is not None and words in finding.message


def test_the_sample_blueprint_has_no_problem() -> None:
    assert a_template(pod=BLUEPRINT).problem is None
