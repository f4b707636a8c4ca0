"""The end-to-end tier runs on a real one-node cluster: kubelet, containers, volumes."""

from pathlib import Path

import pytest

from tests.rig.cluster import Cluster, ClusterRefused, find_kubeconfig, load_cluster
from tests.rig.kubectl import Kubectl
from tests.rig.namespaces import apply_crds


@pytest.fixture(scope="session")
def real() -> Path:
    """Kubeconfig of the real cluster's admin."""
    try:
        return find_kubeconfig("real", "cluster-up")
    except ClusterRefused as refusal:
        pytest.fail(str(refusal), pytrace=False)


@pytest.fixture(scope="session")
def cluster(real: Path) -> Cluster:
    return load_cluster(real)


@pytest.fixture(scope="session")
def kubectl(real: Path) -> Kubectl:
    """`kubectl(*args, input=None, check=True)` as the admin; name the namespace yourself."""
    return Kubectl(real)


@pytest.fixture(scope="session")
def crds(kubectl: Kubectl, repository: Path) -> None:
    """Our CRDs are served."""
    apply_crds(kubectl, str(repository / "crds"))
