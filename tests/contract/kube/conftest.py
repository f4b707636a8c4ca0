"""The contract tier for our Kubernetes I/O: real HTTP against a small API server."""

from collections.abc import AsyncIterator

import pytest

from conversations.cluster.connection import Connection
from tests.small_api.server import Server, connect, running_server


@pytest.fixture
async def small_api() -> AsyncIterator[Server]:
    async with running_server() as server:
        yield server


@pytest.fixture
async def connection(small_api: Server) -> AsyncIterator[Connection]:
    async with connect(small_api) as connection:
        yield connection
