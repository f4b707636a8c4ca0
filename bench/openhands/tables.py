"""Figures as Markdown."""

from statistics import median

from bench.openhands.queries import CONNECTIONS, Queries
from bench.openhands.start import Starts


def start_lines(measured: dict[str, Starts]) -> list[str]:
    def cells(values: list[float]) -> str:
        return f"{median(values):.1f} ({min(values):.1f}–{max(values):.1f})"

    rows = [
        f"| `RUNTIME={kind}` | {len(starts.running)} | {median(starts.answered) * 1000:.0f} ms "
        f"| {cells(starts.booted)} | {cells(starts.running)} |"
        for kind, starts in measured.items()
    ]
    return [
        "## OpenHands V0: from `maybe_start_agent_loop` to RUNNING, real cluster",
        "",
        "| nested server | starts | the call, p50 | server up, p50 (range), s | RUNNING, p50 (range), s |",
        "|---|---|---|---|---|",
        *rows,
        "",
    ]


def query_lines(measured: Queries) -> list[str]:
    count = measured.conversations
    names = {
        "is_running": "`is_agent_loop_running`, one call for each",
        "loop_info": "`get_agent_loop_info`, one call for all",
        "side_by_side": f"one GET for each, one client, {CONNECTIONS} at once",
        "one_by_one": "one GET for each, as DockerNested's `get_agent_loop_info`",
    }
    base = measured.median("loop_info")
    rows = [
        f"| {what} | {measured.median(name) * 1000:.1f} | {measured.median(name) / count * 1e6:.1f} "
        f"| {measured.median(name) / base:.1f} |"
        for name, what in names.items()
    ]
    return [
        f"## OpenHands V0: questions about {count:,} running conversations",
        "",
        "| | ms for all, p50 | µs each | times `get_agent_loop_info` |",
        "|---|---|---|---|",
        *rows,
        "",
        "The manager answered beside its other work (watch, history of all of them); nothing else ran during the GETs. Who answers",
        "them is a stub on loopback, quicker than any nested server.",
        "",
    ]
