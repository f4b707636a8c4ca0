"""The bootstrap and the nested client against the real nested server that the runtime image holds."""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from conversations.runtime.openhands_v0 import OpenHandsV0
from tests.contract.openhands.server import OpenHandsProcess
from tests.rig.ports import free_port
from tests.rig.waiting import eventually

STUB = Path(__file__).parents[3] / "images" / "openhands-tests" / "llm_stub.py"


@dataclass(frozen=True)
class Llm:
    """The stub of the tests' LLM, in a process of its own."""

    url: str

    def settings(self, **more: Any) -> dict[str, Any]:
        """What POST /api/settings takes to use it."""
        return {
            "agent": "CodeActAgent",
            "llm_model": "openai/gpt-4o",
            "llm_api_key": "sk-of-the-contract-tests",
            "llm_base_url": f"{self.url}/v1",
            **more,
        }

    def requests(self) -> list[dict[str, Any]]:
        with urlopen(f"{self.url}/requests") as answer:
            requests: list[dict[str, Any]] = json.load(answer)
            return requests


@pytest.fixture(scope="session")
def llm() -> Iterator[Llm]:
    port = free_port()
    environment = os.environ | {"PORT": str(port)}
    process = subprocess.Popen([sys.executable, STUB], env=environment)
    try:
        yield Llm(f"http://127.0.0.1:{port}")
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def nested(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenHandsProcess]:
    """One server for all tests, which leave it running: it takes 12 s to boot."""
    with OpenHandsProcess(tmp_path_factory.mktemp("nested")).ready() as process:
        yield process


@pytest.fixture
async def client(nested: OpenHandsProcess) -> AsyncIterator[OpenHandsV0]:
    async with nested.client() as client:
        yield client


async def events_of(client: OpenHandsV0, sid: str) -> list[dict[str, Any]]:
    """All of them."""
    events: list[dict[str, Any]] = []
    more = True
    while more:
        page, more = await client.get_events(sid, len(events))
        events += page
    return events


async def messages_of(client: OpenHandsV0, sid: str) -> list[dict[str, Any]]:
    """What the user said."""
    return [
        event
        for event in await events_of(client, sid)
        if event.get("source") == "user" and event.get("action") == "message"
    ]


async def finished(client: OpenHandsV0, sid: str) -> list[dict[str, Any]]:
    """The history once the agent has finished its turn."""

    async def is_finished() -> list[dict[str, Any]] | None:
        events = await events_of(client, sid)
        return events if any(event.get("action") == "finish" for event in events) else None

    events = await eventually(is_finished, 60.0, f"the agent's turn in {sid}")
    assert events is not None
    return events
