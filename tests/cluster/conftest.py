"""The cluster tier runs on the KWOK variant: a real API server, and nodes that only pretend."""

from pathlib import Path

import pytest

from tests.rig.cluster import Cluster, ClusterRefused, find_kubeconfig, load_cluster
from tests.rig.kubectl import Kubectl
from tests.rig.namespaces import apply_crds


@pytest.fixture(scope="session")
def kwok() -> Path:
    """Kubeconfig of the KWOK cluster's admin."""
    try:
        return find_kubeconfig("kwok", "kwok-up")
    except ClusterRefused as refusal:
        pytest.fail(str(refusal), pytrace=False)


@pytest.fixture(scope="session")
def cluster(kwok: Path) -> Cluster:
    return load_cluster(kwok)


@pytest.fixture(scope="session")
def kubectl(kwok: Path) -> Kubectl:
    """`kubectl(*args, input=None, check=True)` as the admin; name the namespace yourself."""
    return Kubectl(kwok)


@pytest.fixture(scope="session")
def crds(kubectl: Kubectl, repository: Path) -> None:
    """Our CRDs are served."""
    apply_crds(kubectl, str(repository / "crds"))
