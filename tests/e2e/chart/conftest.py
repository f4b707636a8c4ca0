"""The chart on the real cluster, a namespace under Pod Security `restricted` for each test."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.chart.release import Release
from tests.rig.cluster import CONTEXT_VARIABLE, cache_directory
from tests.rig.helm import Helm, find_helm
from tests.rig.kubectl import Kubectl
from tests.rig.namespaces import RESTRICTED, fresh_namespace

IMAGES = ("operator", "agent-server")


@pytest.fixture(scope="session")
def images(repository: Path) -> None:
    """The operator's and the runtime's image are on the node, where the cluster is ours."""
    if CONTEXT_VARIABLE in os.environ:
        return
    archives = [str(cache_directory() / "images" / f"{name}.tar") for name in IMAGES]
    loader = repository / "hack" / "cluster" / "load-images.sh"
    subprocess.run([str(loader), *archives], check=True, timeout=300, capture_output=True)


@pytest.fixture
def namespace(kubectl: Kubectl) -> Iterator[str]:
    yield from fresh_namespace(kubectl, RESTRICTED)


@pytest.fixture
def runtimes(kubectl: Kubectl) -> Iterator[str]:
    """A second namespace, for the runtimes only."""
    yield from fresh_namespace(kubectl, RESTRICTED)


@pytest.fixture
def release(
    repository: Path, real: Path, kubectl: Kubectl, namespace: str, images: None
) -> Release:
    """Not installed yet."""
    chart = repository / "charts" / "conversation-operator"
    return Release(Helm(find_helm(), chart, real), kubectl, chart, namespace)
