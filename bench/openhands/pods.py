"""
    python -m bench.openhands.pods KUBECONFIG NAMESPACE PORT

Runs the namespace's pods, as far as a manager can see: each has a loopback address of its own, and one
process answers on all of them, at once, what a nested server would that has nothing to do.
"""

import asyncio
import itertools
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web
from tests.rig.api import Api, ApiError, Manifest
from tests.rig.cluster import load_cluster


async def answer(request: web.Request) -> web.Response:
    """What the nested server says of its conversation, of its events, and of anything else."""
    if not (request.remote or "").startswith("127."):
        raise web.HTTPForbidden
    path = request.path.rstrip("/")
    if path.endswith("/events"):
        return web.json_response({"events": [], "has_more": False})
    sid = path.rpartition("/")[2]
    return web.json_response(
        {"conversation_id": sid, "status": "RUNNING", "runtime_status": "STATUS$READY"}
    )


def a_status(address: str, uid: str) -> Manifest:
    """Of a pod that runs there and is ready."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    kinds = ("PodScheduled", "Initialized", "ContainersReady", "Ready")
    container = {
        "name": "runtime",
        "image": "any",
        "imageID": "any",
        "containerID": f"stub://{uid}",
        "ready": True,
        "started": True,
        "restartCount": 0,
        "state": {"running": {"startedAt": now}},
    }
    return {
        "phase": "Running",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "startTime": now,
        "conditions": [{"type": kind, "status": "True"} for kind in kinds],
        "containerStatuses": [container],
    }


async def run_pods(api: Api) -> None:
    """For ever."""
    addresses = (f"127.77.{n // 250}.{n % 250 + 1}" for n in itertools.count())
    seen: set[str] = set()
    while True:
        listed = await api.request("GET", api.path("pods"))
        for pod in listed["items"]:
            await _run(api, pod, seen, addresses)
        version = listed["metadata"]["resourceVersion"]
        async for kind, pod in api.watch("pods", resourceVersion=version):
            if kind == "ERROR":
                break
            if kind == "ADDED":
                await _run(api, pod, seen, addresses)


async def _run(api: Api, pod: Manifest, seen: set[str], addresses: Iterator[str]) -> None:
    uid = pod["metadata"]["uid"]
    if uid in seen:
        return
    seen.add(uid)
    status = {"status": a_status(next(addresses), uid)}
    try:
        await api.patch("pods/status", pod["metadata"]["name"], status)
    except ApiError as error:
        if error.status != 404:
            raise


async def main(kubeconfig: str, namespace: str, port: str) -> None:
    application = web.Application()
    application.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "0.0.0.0", int(port)).start()
    async with Api(load_cluster(Path(kubeconfig)), namespace) as api:
        await run_pods(api)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
