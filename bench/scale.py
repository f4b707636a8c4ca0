"""10,000 conversations: the operator's memory, and how soon it is of use after a restart."""

import asyncio
import os
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.rig.api import Api
from tests.rig.operator import REPOSITORY, Operator
from tests.rig.waiting import quiet

from bench.driver import as_json, burst, sightings
from bench.latency import create

CONNECTIONS = 50
SETTLED_SECONDS = 5
STEADY_SECONDS = 30


@dataclass
class Scale:
    """Seconds and mebibytes."""

    conversations: int
    until_all_ready: float
    resident_after_creating: float
    peak_while_creating: float
    restart_to_synced: float
    resident_after_restart: float
    peak_after_restart: float
    steady_cpu_percent: float


async def measure_scale(api: Api, operator: Operator, count: int) -> Scale:
    names = [f"scale-{index}" for index in range(count)]
    async with sightings(api, "conversations") as seen:
        send = partial(create, api, "conversations", {})
        seconds = await burst(names, CONNECTIONS, send, seen)
    await _settled(operator)
    after_creating = (_mebibytes(operator.resident_bytes()), _peak(operator))
    assert await operator.terminate() == 0
    synced = await operator.start()
    await _settled(operator)
    return Scale(
        conversations=count,
        until_all_ready=seconds,
        resident_after_creating=after_creating[0],
        peak_while_creating=after_creating[1],
        restart_to_synced=synced,
        resident_after_restart=_mebibytes(operator.resident_bytes()),
        peak_after_restart=_peak(operator),
        steady_cpu_percent=await _steady_cpu(operator),
    )


async def _settled(operator: Operator) -> None:
    """The operator has stopped using the CPU."""
    await quiet(lambda: int(operator.cpu_seconds() * 2), SETTLED_SECONDS, 300)


async def _steady_cpu(operator: Operator) -> float:
    began, used = time.monotonic(), operator.cpu_seconds()
    await asyncio.sleep(STEADY_SECONDS)
    return 100 * (operator.cpu_seconds() - used) / (time.monotonic() - began)


def _peak(operator: Operator) -> float:
    return _mebibytes(operator.peak_resident_bytes())


def _mebibytes(count: int) -> float:
    return count / 2**20


async def measure_watch(
    kind: str, kubeconfig: Path, namespace: str, count: int
) -> dict[str, float]:
    """Seconds, CPU seconds and MiB of a process that only watches the Conversations: kopf's way or ours."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        f"bench.{kind}_watch",
        namespace,
        str(count),
        cwd=REPOSITORY,
        env={**os.environ, "KUBECONFIG": str(kubeconfig), "PYTHONPATH": f"{REPOSITORY}/operator"},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 300)
    assert process.returncode == 0, f"bench.{kind}_watch failed"
    return as_json(output.decode())
