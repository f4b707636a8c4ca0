"""A real agent-server on loopback, in a process of its own."""

import asyncio
import os
import secrets
import signal
import socket
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.contract.image_files import ImageFiles, ImageMissing, unpack_image
from tests.rig.waiting import eventually

BOOT_SECONDS = 90.0


@dataclass
class AgentServerProcess:
    """One server; `home` plays the part of the workspace volume."""

    home: Path
    image: ImageFiles
    key: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    port: int = field(default_factory=lambda: _free_port())

    def __post_init__(self) -> None:
        self.workspace = self.home / "project"
        self.log = self.home / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it; it is not ready yet."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self.image.python(), "-m", "openhands.agent_server"]
                + ["--host", "127.0.0.1", "--port", str(self.port)],
                cwd=self.home,
                env=self._environment(),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def wait_ready(self) -> None:
        """Return once /ready answers 200."""
        async with httpx.AsyncClient(trust_env=False) as client:

            async def is_ready() -> bool:
                try:
                    return (await client.get(f"{self.url}/ready")).status_code == 200
                except httpx.HTTPError:
                    assert self._process is not None and self._process.poll() is None
                    await asyncio.sleep(0.2)
                    return False

            await eventually(is_ready, BOOT_SECONDS, f"agent-server ready, see {self.log}")

    def kill(self) -> None:
        """The end of the pod: no goodbye."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def signal(self, number: int) -> None:
        """Stop or continue it, children included."""
        assert self._process is not None
        os.killpg(self._process.pid, number)

    def _environment(self) -> dict[str, str]:
        state = self.home / ".openhands"
        return {
            "PATH": os.environ["PATH"],
            **self.image.environment(),
            "HOME": str(self.home),
            "TMPDIR": str(self.home / "tmp"),
            "OH_SESSION_API_KEYS_0": self.key,
            "OH_WORKSPACE_PATH": str(self.workspace),
            "OH_CONVERSATIONS_PATH": str(state / "conversations"),
            "OH_BASH_EVENTS_DIR": str(state / "bash_events"),
            "OH_PERSISTENCE_DIR": str(state),
            "OH_CONVERSATION_WORKTREE_ROOT": str(state / "worktrees"),
            "OH_LEASE_TTL_SECONDS": "0",
            "OH_ENABLE_VSCODE": "0",
            "OH_ENABLE_BROWSER": "0",
            "OH_PRELOAD_TOOLS": "0",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "OPENHANDS_SUPPRESS_BANNER": "1",
        }


def start_process(home: Path) -> AgentServerProcess:
    """Started, not awaited; a test failure that says what to do where the image is not built."""
    try:
        image = unpack_image()
    except ImageMissing as missing:
        pytest.fail(str(missing), pytrace=False)
    (home / "tmp").mkdir(parents=True)
    (home / "project").mkdir()
    process = AgentServerProcess(home, image)
    process.start()
    return process


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
