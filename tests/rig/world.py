"""A namespace with an operator's identity in it, and operators that work there through proxies."""

import contextlib
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.rig.access import create_identity, write_kubeconfig
from tests.rig.api import Api
from tests.rig.cluster import Cluster
from tests.rig.invariants import watched
from tests.rig.manifests import a_template
from tests.rig.observe import condition
from tests.rig.operator import Operator
from tests.rig.proxy import Proxy
from tests.rig.waiting import eventually, quiet

SETTLE_SECONDS = 1.0


@dataclass
class World:
    """What a test of the operator needs: the admin's `api`, and operators each behind a proxy."""

    cluster: Cluster
    api: Api
    folder: Path
    token: str
    operators: list[Operator] = field(default_factory=list)
    proxies: list[Proxy] = field(default_factory=list)

    @property
    def operator(self) -> Operator:
        return self.operators[0]

    @property
    def proxy(self) -> Proxy:
        return self.proxies[0]

    async def add_operator(self, **settings: str) -> Operator:
        """One more operator, not started, behind a proxy of its own."""
        proxy = Proxy(self.cluster, writer=f"operator-{len(self.operators)}")
        await proxy.start()
        self.proxies.append(proxy)
        name = f"{proxy.writer}-{self.api.namespace}.kubeconfig"
        server = {"server": proxy.url}
        path = write_kubeconfig(self.folder / name, server, self.token, self.api.namespace)
        operator = Operator(path, self.api.namespace, self.folder, **settings)
        self.operators.append(operator)
        return operator

    async def close(self) -> None:
        for operator in self.operators:
            await operator.stop()
        for proxy in self.proxies:
            await proxy.close()

    def write_count(self) -> int:
        """Writes that count, of all operators."""
        return sum(len(proxy.record.writes()) for proxy in self.proxies)

    async def settled_write_count(self) -> int:
        """
        As write_count, once it has stopped.

        What is seen in the cluster may be a moment older than its entry in the record, and an Event
        comes after the status that it tells of.
        """
        await quiet(self.write_count, SETTLE_SECONDS, 30)
        return self.write_count()


@contextlib.asynccontextmanager
async def open_world(cluster: Cluster, api: Api, folder: Path) -> AsyncIterator[World]:
    """A world in the namespace of `api`, under the eyes of the invariants; no operator yet."""
    world = World(cluster, api, folder, await create_identity(api))
    try:
        async with watched(api, lambda: world.operators):
            yield world
    finally:
        await world.close()


@contextlib.asynccontextmanager
async def namespace_world(cluster: Cluster, folder: Path) -> AsyncIterator[World]:
    """A world in a namespace of its own, for tests that need several at once."""
    name = f"test-{secrets.token_hex(4)}"
    async with Api(cluster, name) as api:
        labels = {"conversation-operator-test": "true"}
        namespace = {"metadata": {"name": name, "labels": labels}}
        await api.request("POST", "/api/v1/namespaces", json=namespace)
        try:
            await eventually(
                lambda: api.get("serviceaccounts", "default"), 30, "default service account"
            )
            async with open_world(cluster, api, folder) as world:
                yield world
        finally:
            await api.request("DELETE", f"/api/v1/namespaces/{name}")


async def run_operator(world: World, workspace: dict[str, object] | None = None) -> Operator:
    """One operator, started and at rest, with the template `default` accepted."""
    template = a_template(workspace=workspace) if workspace else a_template()
    await world.api.create("runtimetemplates", template)
    operator = await world.add_operator()
    await operator.start()
    await wait_accepted(world.api, "default")
    return operator


async def wait_accepted(api: Api, name: str) -> None:
    """The operator has judged the template, so its status is out of the way of counting."""

    async def accepted() -> bool:
        found = await api.get("runtimetemplates", name)
        return bool(found) and condition(found or {}, "Accepted").get("status") == "True"

    await eventually(accepted, 20, f"template {name} Accepted")
