"""The contract tier: our HTTP against the real agent-server that the runtime image holds."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from conversations.runtime.agent_server import AgentServer
from tests.contract.agent_server import AgentServerProcess


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentServerProcess]:
    """One server for all tests that do it no harm: it takes 15 s to boot."""
    with AgentServerProcess(tmp_path_factory.mktemp("runtime")).ready() as process:
        yield process


@pytest.fixture
def mortal_server(tmp_path: Path) -> Iterator[AgentServerProcess]:
    """A server for one test, which may kill it."""
    with AgentServerProcess(tmp_path / "home").running() as process:
        yield process


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
