"""
The tier of OpenHands: its own classes, a real API server, a real operator, nested servers on loopback.

It runs where OpenHands is installed; `make openhands` goes there and comes with each version.
"""

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from conversations.api.labels import INSTALLATION
from conversations.cluster.permissions import CLIENT_RULES
from tests.openhands.rig.kubelet import Kubelet, run_kubelet
from tests.openhands.rig.mirroring import Declared, Store
from tests.openhands.rig.outer import WRITTEN_SECRETS, LogText, Outer, Servers
from tests.openhands.rig.templates import create_templates
from tests.rig.access import create_identity, write_kubeconfig
from tests.rig.api import Api
from tests.rig.cluster import Cluster, ClusterRefused, find_kubeconfig, load_cluster
from tests.rig.kubectl import Kubectl
from tests.rig.namespaces import apply_crds
from tests.rig.world import World, namespace_world

REPOSITORY = Path(__file__).parent.parent.parent


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """The KWOK cluster, with our CRDs."""
    try:
        kubeconfig = find_kubeconfig("kwok", "kwok-up")
    except ClusterRefused as refusal:
        pytest.fail(str(refusal), pytrace=False)
    apply_crds(Kubectl(kubeconfig), str(REPOSITORY / "crds"))
    return load_cluster(kubeconfig)


@pytest.fixture(scope="session")
async def world(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """A namespace and its operator; every test has an installation of its own in it."""
    async with namespace_world(cluster, tmp_path_factory.mktemp("world")) as world:
        operator = await world.add_operator()
        await operator.start()
        await create_templates(world.api)
        yield world
        said = operator.log_text()
        assert not [word for word in WRITTEN_SECRETS if word in said], (
            "the operator logged a secret"
        )


@pytest.fixture(scope="session")
def api(world: World) -> Api:
    """The admin's client."""
    return world.api


@pytest.fixture(scope="session")
async def kubelet(api: Api) -> AsyncIterator[Kubelet]:
    """Runs the namespace's pods; `kubelet.nested(sid)` is what a conversation's pod runs."""
    async with run_kubelet(api) as kubelet:
        yield kubelet


@pytest.fixture(scope="session")
async def kubeconfig(api: Api, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a manager logs in with: exactly a client's rights."""
    token = await create_identity(api, CLIENT_RULES, "client-under-test")
    path = tmp_path_factory.mktemp("client") / "kubeconfig"
    return write_kubeconfig(path, api.cluster.entry(), token, api.namespace)


@pytest.fixture
def test_id(request: pytest.FixtureRequest) -> str:
    """A short word that no other test has: for sids, users and installations."""
    return "t" + hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:11]


@pytest.fixture
def log() -> "AsyncIterator[LogText]":
    """All log lines of this process."""
    handler = LogText()
    loggers = [logging.getLogger(), logging.getLogger("openhands")]
    for logger in loggers:
        logger.addHandler(handler)
    yield handler  # type: ignore[misc]
    for logger in loggers:
        logger.removeHandler(handler)


@pytest.fixture
async def servers(
    kubeconfig: Path, kubelet: Kubelet, api: Api, log: LogText, tmp_path: Path, test_id: str
) -> AsyncIterator[Servers]:
    """Opens outer servers; afterwards their conversations are gone and no secret was logged."""
    servers = Servers(kubeconfig, api.namespace, tmp_path, test_id)
    before = asyncio.all_tasks()
    yield servers
    await check_no_tasks(before)
    for conversation in await api.list("conversations"):
        labels = conversation["metadata"].get("labels", {})
        if labels.get(INSTALLATION, test_id).startswith(test_id):
            await api.delete("conversations", conversation["metadata"]["name"])
    told = servers.secrets | kubelet.keys
    assert not [secret[:8] for secret in told if secret in log.text], "a secret was logged"


async def check_no_tasks(before: set["asyncio.Task[Any]"]) -> None:
    """Tasks of ours that were started since have ended, or end now."""
    left = {task for task in asyncio.all_tasks() - before if is_ours(task)}
    _, left = await asyncio.wait(left, timeout=5) if left else (set(), set())
    assert not left, f"a manager left tasks behind: {left}"


def is_ours(task: "asyncio.Task[Any]") -> bool:
    """What it runs is in the package under test; the rig's servers run in this loop, too."""
    code = getattr(task.get_coro(), "cr_code", None)
    return code is not None and "/conversations/" in code.co_filename


@pytest.fixture(scope="module")
async def module_outer(
    kubeconfig: Path,
    kubelet: Kubelet,
    api: Api,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> AsyncIterator[Outer]:
    """One outer server for all tests of a module."""
    word = "m" + hashlib.sha256(request.module.__name__.encode()).hexdigest()[:11]
    servers = Servers(kubeconfig, api.namespace, tmp_path_factory.mktemp("outer"), word)
    async with servers.open() as outer:
        yield outer


@pytest.fixture
async def outer(servers: Servers) -> AsyncIterator[Outer]:
    """One outer server."""
    async with servers.open() as outer:
        yield outer


@pytest.fixture
async def declared() -> AsyncIterator[Declared]:
    """Conversations without a cluster, for what needs none."""
    declared = Declared()
    yield declared
    await declared.aclose()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """The file store of an outer server."""
    return Store(tmp_path / "files")
