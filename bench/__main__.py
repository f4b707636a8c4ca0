"""
    python -m bench [--conversations 10000] [--only latency|scale]

Needs the KWOK variant (`make kwok-up`).  Prints the figures and writes them to bench/results/.
"""

import argparse
import asyncio
import contextlib
import secrets
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from tests.rig.access import create_identity, write_kubeconfig
from tests.rig.api import Api
from tests.rig.cluster import Cluster, find_kubeconfig, load_cluster
from tests.rig.kubectl import Kubectl
from tests.rig.manifests import a_template
from tests.rig.namespaces import apply_crds
from tests.rig.operator import REPOSITORY, Operator
from tests.rig.waiting import eventually
from tests.rig.world import wait_accepted

from bench import report
from bench.latency import bare_pod, measure_burst, measure_pace
from bench.scale import measure_scale, measure_watch


@contextlib.asynccontextmanager
async def fresh_operator(cluster: Cluster, folder: Path) -> AsyncIterator[tuple[Api, Operator]]:
    """An operator as the chart runs it (its own Role, JSON logs at INFO), in a new namespace."""
    name = f"bench-{secrets.token_hex(3)}"
    async with Api(cluster, name) as api:
        await api.request("POST", "/api/v1/namespaces", json={"metadata": {"name": name}})
        await eventually(lambda: api.get("serviceaccounts", "default"), 30, "service account")
        token = await create_identity(api)
        kubeconfig = write_kubeconfig(folder / f"{name}.kubeconfig", cluster.entry(), token, name)
        operator = Operator(kubeconfig, name, folder, log_level="INFO")
        try:
            await api.create("runtimetemplates", a_template())
            await operator.start()
            await wait_accepted(api, "default")
            yield api, operator
        finally:
            await operator.stop()
            await api.request("DELETE", f"/api/v1/namespaces/{name}")


async def latency(cluster: Cluster, folder: Path) -> list[str]:
    async with fresh_operator(cluster, folder) as (api, _):
        pod = await bare_pod(api)
        pace = await measure_pace(api, pod)
        return report.latency_lines(pace) + report.burst_lines(await measure_burst(api, pod))


async def scale(cluster: Cluster, folder: Path, count: int) -> list[str]:
    async with fresh_operator(cluster, folder) as (api, operator):
        measured = await measure_scale(api, operator, count)
        await operator.stop()
        kubeconfig = cluster.kubeconfig
        kopf = await measure_watch("kopf", kubeconfig, api.namespace, count)
        reflector = await measure_watch("reflector", kubeconfig, api.namespace, count)
    return report.scale_lines(measured) + report.watch_lines(kopf, reflector, count)


async def run(cluster: Cluster, only: str, count: int) -> list[str]:
    async with Api(cluster, "default") as api:
        lines = ["# Measured with `make bench`", "", *await report.machine(api), ""]
    with tempfile.TemporaryDirectory() as folder:
        if only != "scale":
            lines += await latency(cluster, Path(folder))
        if only != "latency":
            lines += await scale(cluster, Path(folder), count)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("--conversations", type=int, default=10_000)
    parser.add_argument("--only", choices=("latency", "scale"), default="")
    options = parser.parse_args()
    cluster = load_cluster(find_kubeconfig("kwok", "kwok-up"))
    apply_crds(Kubectl(cluster.kubeconfig), str(REPOSITORY / "crds"))
    lines = asyncio.run(run(cluster, options.only, options.conversations))
    print("\n".join(lines))
    if not options.only:
        path = report.write(lines, "operator")
        print(f"written to {path.relative_to(REPOSITORY)}")


if __name__ == "__main__":
    main()
