"""bench/results/: figures, with the machine and the versions that they belong to."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from tests.rig.api import Api

from bench.latency import BURST, PER_ROUND, PER_SECOND, ROUNDS, Latencies
from bench.scale import Scale

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("aiohttp", "kopf", "kubernetes-asyncio", "msgspec", "pydantic")
GOAL_ADDED_P50_MILLISECONDS = 25
GOAL_RESIDENT_MEBIBYTES = 200e6 / 2**20  # 200 MB
GOAL_SYNCED_SECONDS = 8


async def machine(api: Api) -> list[str]:
    """What a reader needs to compare his own figures; nothing that names this host."""
    server = await api.request("GET", "/version")
    model = _first("/proc/cpuinfo", "model name") or platform.machine()
    memory = int(_first("/proc/meminfo", "MemTotal").split()[0]) / 2**20
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return [
        f"* {os.cpu_count()} cores ({model}), {memory:.0f} GiB; load average before: {load}",
        f"* Kubernetes {server['gitVersion']} (KWOK variant: real API server, etcd, scheduler and "
        "controllers on the same cores; fake kubelets)",
        f"* Python {platform.python_version()}, {packages}",
    ]


def _first(path: str, field: str) -> str:
    for line in Path(path).read_text().splitlines():
        if line.startswith(field):
            return line.partition(":")[2].strip()
    return ""


def latency_lines(found: Latencies) -> list[str]:
    pods, talks = found["pods"], found["conversations"]
    rows = [
        f"| {share} | {pods[share]:.1f} | {talks[share]:.1f} | {talks[share] - pods[share]:.1f} "
        f"| {talks[share] / pods[share]:.2f} |"
        for share in ("p50", "p95", "p99")
    ]
    added = talks["p50"] - pods["p50"]
    return [
        f"## Create sent to Ready seen, at {PER_SECOND:.0f}/s ({ROUNDS} rounds of {PER_ROUND} each, in turn)",
        "",
        "| ms | bare pod | conversation | added | ratio |",
        "|---|---|---|---|---|",
        *rows,
        "",
        f"Added at p50: {added:.1f} ms; goal {GOAL_ADDED_P50_MILLISECONDS} ms: "
        f"{_verdict(added <= GOAL_ADDED_P50_MILLISECONDS)}.",
        "",
    ]


def burst_lines(found: dict[str, float]) -> list[str]:
    pods, talks = found["pods"], found["conversations"]
    return [
        f"## A burst of {BURST}",
        "",
        f"All Ready after {pods:.1f} s (bare pods) and {talks:.1f} s (conversations): "
        f"{talks / pods:.2f} times.",
        "",
    ]


def scale_lines(scale: Scale) -> list[str]:
    small = scale.resident_after_restart <= GOAL_RESIDENT_MEBIBYTES
    quick = scale.restart_to_synced <= GOAL_SYNCED_SECONDS
    return [
        f"## {scale.conversations:,} conversations",
        "",
        "| | |",
        "|---|---|",
        f"| created until all Ready | {scale.until_all_ready:.0f} s |",
        f"| operator, resident after creating (peak) | {scale.resident_after_creating:.0f} MiB "
        f"({scale.peak_while_creating:.0f}) |",
        f"| restart: process start to /readyz | {scale.restart_to_synced:.1f} s; goal "
        f"{GOAL_SYNCED_SECONDS} s: {_verdict(quick)} |",
        f"| operator, resident after the restart (peak) | {scale.resident_after_restart:.0f} MiB "
        f"({scale.peak_after_restart:.0f}); goal {GOAL_RESIDENT_MEBIBYTES:.0f}: {_verdict(small)} |",
        f"| operator, CPU at rest | {scale.steady_cpu_percent:.1f} % of a core |",
        "",
    ]


def watch_lines(kopf: dict[str, float], reflector: dict[str, float], count: int) -> list[str]:
    def row(name: str, figures: dict[str, float]) -> str:
        return (
            f"| {name} | {figures['seconds']:.1f} | {figures['cpu_seconds']:.1f} "
            f"| {figures['resident_mebibytes']:.0f} | {figures['peak_mebibytes']:.0f} |"
        )

    ratio = kopf["seconds"] / reflector["seconds"]
    return [
        f"## Watching {count:,} Conversations and nothing else, from start of main to all seen",
        "",
        "| | seconds | CPU seconds (imports included) | MiB | peak MiB |",
        "|---|---|---|---|---|",
        row("kopf, `on.event` that does nothing", kopf),
        row("our reflector", reflector),
        "",
        f"kopf takes {ratio:.1f} times as long and "
        f"{kopf['resident_mebibytes'] - reflector['resident_mebibytes']:.0f} MiB more.",
        "",
    ]


def _verdict(met: bool) -> str:
    return "met" if met else "MISSED"


def write(lines: list[str], what: str) -> Path:
    """Keep the results in a file of their own, named after what was measured and when (UTC)."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{datetime.now(UTC):%Y-%m-%d-%H%M}-{what}.md"
    path.write_text("\n".join(lines).rstrip() + "\n")
    return path
