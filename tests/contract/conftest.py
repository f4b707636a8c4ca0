"""The contract tier: our HTTP against the real agent-server that the runtime image holds."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from conversations.runtime.agent_server import AgentServer
from tests.contract.agent_server import AgentServerProcess, start_process


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentServerProcess]:
    """One server for all tests that do it no harm: it takes 15 s to boot."""
    process = start_process(tmp_path_factory.mktemp("runtime") / "home")
    try:
        asyncio.run(process.wait_ready())
        yield process
    finally:
        process.kill()


@pytest.fixture
def mortal_server(tmp_path: Path) -> Iterator[AgentServerProcess]:
    """A server for one test, which may kill it."""
    process = start_process(tmp_path / "home")
    try:
        yield process
    finally:
        process.kill()


@pytest.fixture
async def runtime(
    server: AgentServerProcess, request: pytest.FixtureRequest
) -> AsyncIterator[AgentServer]:
    """Access to a workspace of the test's own."""
    workspace = server.workspace / request.node.name.replace("/", "_")[:80]
    async with AgentServer("uid-1", server.url, server.key, workspace=str(workspace)) as runtime:
        yield runtime


@pytest.fixture
def workspace(server: AgentServerProcess, request: pytest.FixtureRequest) -> Path:
    """The test's workspace, as the agent would see it."""
    path = server.workspace / request.node.name.replace("/", "_")[:80]
    path.mkdir(exist_ok=True)
    return path
