"""One house for the whole folder: booting an OpenHands server takes this machine ten seconds of CPU."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.e2e.openhands.house import (
    BUCKET,
    LLM,
    MOTO,
    REDIS,
    House,
    Words,
    furnish,
)
from tests.rig.access import create_identity, write_kubeconfig
from tests.rig.api import Api, Manifest
from tests.rig.cluster import Cluster
from tests.rig.in_cluster import pods_ready
from tests.rig.kubectl import Kubectl
from tests.rig.namespaces import RESTRICTED, fresh_namespace
from tests.rig.operator import Operator
from tests.rig.outer import Outer, mount, outer_manifests, pod_spec

ALONE, PAIR = "alone", "pair"


@pytest.fixture(scope="session")
def runtimes(kubectl: Kubectl, crds: None) -> Iterator[str]:
    """Namespace of the conversations, under Pod Security `restricted`."""
    yield from fresh_namespace(kubectl, RESTRICTED)


@pytest.fixture(scope="session")
def servers(kubectl: Kubectl) -> Iterator[str]:
    """Namespace of everything that talks to them, under the same."""
    yield from fresh_namespace(kubectl, RESTRICTED)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def operator(
    cluster: Cluster, runtimes: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Operator]:
    """An operator with exactly the rights of its Role."""
    folder = tmp_path_factory.mktemp("openhands")
    async with Api(cluster, runtimes) as api:
        token = await create_identity(api)
    kubeconfig = write_kubeconfig(folder / "kubeconfig", cluster.entry(), token, runtimes)
    operator = Operator(Path(kubeconfig), runtimes, folder)
    await operator.start()
    yield operator
    await operator.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def house(
    kubectl: Kubectl, operator: Operator, runtimes: str, servers: str
) -> AsyncIterator[House]:
    furnish(kubectl, runtimes, servers, [ALONE, PAIR])
    await pods_ready(kubectl, servers, [LLM, REDIS, MOTO])
    yield House(kubectl, operator, runtimes, servers, Words())


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def alone(house: House) -> Outer:
    """One server on a volume, as the sample has it."""
    outer = Outer(house.kubectl, house.servers, ALONE)
    await outer.deploy(outer_manifests(ALONE, _env(house, ALONE)))
    await house.entrust(outer)
    return outer


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def pair(house: House) -> Outer:
    """Two servers on S3 and Redis, for users that a header names."""
    outer = Outer(house.kubectl, house.servers, PAIR)
    await house.make_bucket()
    await outer.deploy(_pair_manifests(house))
    await house.entrust(outer)
    return outer


def _env(house: House, installation: str) -> dict[str, str]:
    return {
        "CONVERSATIONS_NAMESPACE": house.runtimes,
        "CONVERSATIONS_TEMPLATE": installation,
        "CONVERSATIONS_INSTALLATION": installation,
    }


def _pair_manifests(house: House) -> list[Manifest]:
    env = {
        **_env(house, PAIR),
        "FILE_STORE": "s3",
        "FILE_STORE_PATH": BUCKET,
        # moto takes the first part of a longer name for a bucket's.
        "AWS_S3_ENDPOINT": f"{MOTO}:5000",
        "AWS_S3_SECURE": "false",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "REDIS_HOST": house.host(REDIS),
        "OPENHANDS_CONFIG_CLS": "header_config.HeaderConfig",
        "PYTHONPATH": "/users",
    }
    manifests = outer_manifests(PAIR, env)
    spec = pod_spec(manifests)
    mount(spec, "users", "/users")
    spec["volumes"] = [volume for volume in spec["volumes"] if volume["name"] != "data"]
    spec["volumes"].append({"name": "data", "emptyDir": {}})
    deployment = next(each for each in manifests if each["kind"] == "Deployment")
    deployment["spec"] |= {"replicas": 2, "strategy": {"type": "RollingUpdate"}}
    return [each for each in manifests if each["kind"] != "PersistentVolumeClaim"]
