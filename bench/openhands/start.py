"""From `maybe_start_agent_loop` to RUNNING, with real nested servers in the real cluster."""

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.openhands.rig.outer import environment, new_instance, some_settings
from tests.rig.api import Api
from tests.rig.waiting import eventually
from tests.rig.world import wait_accepted

from bench.openhands.templates import SAMPLES, sample_template

RUNNING_SECONDS = 300
GONE_SECONDS = 60
USER = "bench"


@dataclass
class Starts:
    """Seconds, one of each for every round."""

    answered: list[float] = field(default_factory=list)
    """The call, which answers STARTING."""
    booted: list[float] = field(default_factory=list)
    """Until the nested server could be told something."""
    running: list[float] = field(default_factory=list)
    """Until RUNNING: told, and its agent there."""


async def measure_starts(
    api: Api, variables: Mapping[str, str], folder: Path, rounds: int
) -> dict[str, Starts]:
    """By the nested server's RUNTIME; one conversation at a time, new volume and key each."""
    measured = {kind: Starts() for kind in SAMPLES}
    for kind in measured:
        await api.create("runtimetemplates", sample_template(kind))
    for kind, starts in measured.items():
        await wait_accepted(api, kind)
        given = {"CONVERSATIONS_TEMPLATE": kind, "CONVERSATIONS_CLOSE_POLICY": "Delete"}
        with environment({**variables, **given}):
            manager, _ = new_instance(folder / kind)
        async with manager:
            for _ in range(rounds):
                await measure_one(api, manager, starts)
    return measured


async def measure_one(api: Api, manager: Any, starts: Starts) -> None:
    sid = secrets.token_hex(16)
    began = time.perf_counter()
    info = await manager.maybe_start_agent_loop(sid, some_settings(), USER)
    starts.answered.append(time.perf_counter() - began)
    assert info.status.value == "STARTING"

    async def look() -> Any:
        [info] = await manager.get_agent_loop_info(filter_to_sids={sid})
        assert info.status.value in ("STARTING", "RUNNING"), info.status
        return info

    async def booted() -> bool:
        return (await look()).runtime_status.value != "STATUS$STARTING_RUNTIME"

    async def running() -> bool:
        return (await look()).status.value == "RUNNING"

    await eventually(booted, RUNNING_SECONDS, "a nested server that answers")
    starts.booted.append(time.perf_counter() - began)
    await eventually(running, RUNNING_SECONDS, "RUNNING")
    starts.running.append(time.perf_counter() - began)
    await manager.close_session(sid)
    # The next one shall not share the node with it.
    await eventually(lambda: _is_empty(api), GONE_SECONDS, "the pod to go")


async def _is_empty(api: Api) -> bool:
    return not await api.list("pods")
