"""Fixtures of every tier that talks to an API server; each tier says which cluster that is."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.rig.api import Api
from tests.rig.cluster import Cluster
from tests.rig.kubectl import Kubectl
from tests.rig.namespaces import fresh_namespace

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of this repository."""
    return REPOSITORY


@pytest.fixture
def namespace(kubectl: Kubectl, crds: None) -> Iterator[str]:
    """A fresh namespace that knows our resources; deleted at the end without waiting."""
    yield from fresh_namespace(kubectl)


@pytest.fixture
async def api(cluster: Cluster, namespace: str) -> AsyncIterator[Api]:
    """The admin's asynchronous client, bound to the test's namespace."""
    async with Api(cluster, namespace) as api:
        yield api
