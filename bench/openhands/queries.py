"""What a server asks about all conversations at each look at its list: from the watch, and by HTTP."""

import asyncio
import contextlib
import os
import secrets
import sys
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import httpx
from openhands.utils.http_session import httpx_verify_option
from tests.openhands.rig.outer import environment, new_instance
from tests.rig.api import Api
from tests.rig.manifests import a_conversation
from tests.rig.operator import REPOSITORY
from tests.rig.ports import free_port
from tests.rig.waiting import eventually
from tests.rig.world import wait_accepted

from bench.openhands.templates import stub_template
from conversations.api.labels import INSTALLATION

ROUNDS = 5
CONNECTIONS = 50
CREATES_AT_ONCE = 20
READY_SECONDS = 600


@dataclass
class Queries:
    """Seconds for all conversations, by round."""

    conversations: int
    is_running: list[float] = field(default_factory=list)
    """One call of is_agent_loop_running for each."""
    loop_info: list[float] = field(default_factory=list)
    """One call of get_agent_loop_info for all."""
    one_by_one: list[float] = field(default_factory=list)
    """One GET for each, with a client of its own, one after the other, as DockerNested does it."""
    side_by_side: list[float] = field(default_factory=list)
    """The same with one client and 50 at once: the best that HTTP could do."""

    def median(self, name: str) -> float:
        return median(getattr(self, name))


async def measure_queries(
    api: Api, variables: Mapping[str, str], folder: Path, count: int
) -> Queries:
    """Managers' answers while the manager does all its other work; HTTP when it is gone."""
    installation = f"bench-{secrets.token_hex(3)}"
    port = free_port()
    await api.create("runtimetemplates", stub_template(port))
    await wait_accepted(api, "default")
    measured = Queries(count)
    async with pods(api, port):
        sids = await create_all(api, count, installation)
        given = {**variables, "CONVERSATIONS_INSTALLATION": installation}
        with environment(given):
            manager, _ = new_instance(folder / "store")
        async with manager:
            infos = await eventually(lambda: all_running(manager, count), READY_SECONDS)
            await measure_manager(manager, sids, measured)
        await measure_http({info.url: info.session_api_key for info in infos}, measured)
    return measured


@contextlib.asynccontextmanager
async def pods(api: Api, port: int) -> AsyncIterator[None]:
    """A process that stands for all nodes."""
    arguments = (str(api.cluster.kubeconfig), api.namespace, str(port))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.openhands.pods", *arguments),
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": f"{REPOSITORY}/operator"},
    )
    try:
        yield
        assert process.returncode is None, "the process with the pods has ended"
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def create_all(api: Api, count: int, installation: str) -> list[str]:
    """Without inputs, because nobody would take them: they are Ready with their pods."""
    sids = [secrets.token_hex(16) for _ in range(count)]
    gate = asyncio.Semaphore(CREATES_AT_ONCE)

    async def one(sid: str) -> None:
        conversation = a_conversation(sid, sessionID=sid)
        conversation["metadata"]["labels"] = {INSTALLATION: installation}
        async with gate:
            await api.create("conversations", conversation)

    await asyncio.gather(*(one(sid) for sid in sids))
    return sids


async def all_running(manager: Any, count: int) -> list[Any]:
    """The infos of all, once all run and all keys are known."""
    await asyncio.sleep(1)
    infos: list[Any] = await manager.get_agent_loop_info()
    known = [info for info in infos if info.session_api_key and info.status.value == "RUNNING"]
    return known if len(known) == count else []


async def measure_manager(manager: Any, sids: list[str], measured: Queries) -> None:
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for sid in sids:
            assert await manager.is_agent_loop_running(sid)
        measured.is_running.append(time.perf_counter() - began)
        began = time.perf_counter()
        infos = await manager.get_agent_loop_info()
        measured.loop_info.append(time.perf_counter() - began)
        assert len(infos) == len(sids)
        await asyncio.sleep(1)


async def measure_http(keys: Mapping[str, str], measured: Queries) -> None:
    for _ in range(ROUNDS):
        began = time.perf_counter()
        await ask_side_by_side(keys)
        measured.side_by_side.append(time.perf_counter() - began)
    # Once: it is long enough to be an average of its own.
    began = time.perf_counter()
    for url, key in keys.items():
        headers = {"X-Session-API-Key": key}
        async with httpx.AsyncClient(verify=httpx_verify_option(), headers=headers) as client:
            assert (await client.get(url)).json()["runtime_status"]
    measured.one_by_one.append(time.perf_counter() - began)


async def ask_side_by_side(keys: Mapping[str, str]) -> None:
    gate = asyncio.Semaphore(CONNECTIONS)
    async with httpx.AsyncClient(trust_env=False) as client:

        async def one(url: str, key: str) -> None:
            async with gate:
                answer = await client.get(url, headers={"X-Session-API-Key": key})
                assert answer.json()["runtime_status"]

        await asyncio.gather(*(one(url, key) for url, key in keys.items()))
