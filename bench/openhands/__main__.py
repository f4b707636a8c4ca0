"""
    python -m bench.openhands [--only start|queries] [--rounds 5] [--conversations 1000]

Runs where OpenHands is installed: `make bench-openhands` goes there.  `start` needs the real cluster
with the images, `queries` the KWOK variant.  Prints the figures and writes them to bench/results/.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import secrets
import tempfile
from collections.abc import AsyncIterator
from importlib.metadata import version
from pathlib import Path

from tests.rig.access import create_identity, write_kubeconfig
from tests.rig.api import Api
from tests.rig.cluster import Cluster, find_kubeconfig, load_cluster
from tests.rig.kubectl import Kubectl
from tests.rig.namespaces import apply_crds
from tests.rig.operator import REPOSITORY, Operator
from tests.rig.waiting import eventually

from bench import report
from bench.openhands.queries import measure_queries
from bench.openhands.start import measure_starts
from bench.openhands.tables import query_lines, start_lines
from conversations.cluster.permissions import CLIENT_RULES
from conversations.openhands.v0.config import PREFIX


@contextlib.asynccontextmanager
async def served_namespace(variant: str, target: str, folder: Path) -> AsyncIterator[Api]:
    """A new namespace with an operator; the environment makes managers clients of it."""
    cluster = load_cluster(find_kubeconfig(variant, target))
    apply_crds(Kubectl(cluster.kubeconfig), str(REPOSITORY / "crds"))
    name = f"bench-{secrets.token_hex(3)}"
    async with Api(cluster, name) as api:
        await api.request("POST", "/api/v1/namespaces", json={"metadata": {"name": name}})
        await eventually(lambda: api.get("serviceaccounts", "default"), 30, "service account")
        operator = Operator(
            await _login(cluster, api, folder), name, folder, log_level="INFO", resync_seconds="900"
        )
        try:
            await _become_client(cluster, api, folder)
            await operator.start()
            yield api
        finally:
            await operator.stop()
            await api.request("DELETE", f"/api/v1/namespaces/{name}")


async def _login(cluster: Cluster, api: Api, folder: Path) -> Path:
    token = await create_identity(api)
    path = folder / f"{api.namespace}-operator"
    return write_kubeconfig(path, cluster.entry(), token, api.namespace)


async def _become_client(cluster: Cluster, api: Api, folder: Path) -> None:
    token = await create_identity(api, CLIENT_RULES, "bench-client")
    path = folder / f"{api.namespace}-client"
    write_kubeconfig(path, cluster.entry(), token, api.namespace)
    given = {"KUBECONFIG": str(path), "NAMESPACE": api.namespace, "ACCESS": "direct"}
    _environment.update({f"{PREFIX}{name}": value for name, value in given.items()})


_environment: dict[str, str] = {}


async def run(only: str, rounds: int, count: int) -> list[str]:
    lines = ["# Measured with `make bench-openhands`", "", f"* OpenHands {version('openhands-ai')}"]
    lines += [f"* load average before the first table: {os.getloadavg()[0]:.1f}", ""]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if only != "queries":
            async with served_namespace("real", "cluster-up", folder) as api:
                lines += start_lines(await measure_starts(api, _environment, folder, rounds))
        if only != "start":
            async with served_namespace("kwok", "kwok-up", folder) as api:
                lines += [*await report.machine(api), ""]
                lines += query_lines(await measure_queries(api, _environment, folder, count))
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.openhands")
    parser.add_argument("--only", choices=("start", "queries"), default="")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--conversations", type=int, default=1000)
    options = parser.parse_args()
    logging.disable(logging.INFO)
    lines = asyncio.run(run(options.only, options.rounds, options.conversations))
    print("\n".join(lines))
    if not options.only:
        path = report.write(lines, "openhands")
        print(f"written to {path.relative_to(REPOSITORY)}")


if __name__ == "__main__":
    main()
