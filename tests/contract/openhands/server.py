"""A real nested OpenHands server on loopback, in a process of its own, started as its image starts it."""

import asyncio
import os
import secrets
import shlex
import signal
import socket
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from hack.in_image import unpack

from conversations.runtime.openhands_v0 import OpenHandsV0
from tests.contract.image_files import ImageFiles
from tests.rig.cluster import cache_directory
from tests.rig.waiting import eventually

BOOT_SECONDS = 110.0


@dataclass
class OpenHandsProcess:
    """One server; `home` plays the part of the workspace volume and outlives it."""

    home: Path
    image: ImageFiles
    key: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    port: int = field(default_factory=lambda: free_port())

    def __post_init__(self) -> None:
        self.log = self.home / "server.log"
        self.file_store = self.home / ".openhands" / "file_store"
        self._process: subprocess.Popen[bytes] | None = None
        (self.home / "tmp").mkdir(parents=True, exist_ok=True)
        (self.home / "bin").mkdir(exist_ok=True)
        python = self.home / "bin" / "python"
        python.write_text(f'#!/bin/sh\nexec {shlex.join(self.image.python())} "$@"\n')
        python.chmod(0o755)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self) -> OpenHandsV0:
        """Ours, with the right key."""
        return OpenHandsV0("uid-1", self.url, self.key)

    def start(self) -> None:
        """Start it; it is not ready yet."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                ["sh", self.image.root / "usr/local/bin/openhands-v0"],
                cwd=self.home,
                env=self._environment(),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def wait_ready(self) -> None:
        """Return once /alive answers 200."""
        async with httpx.AsyncClient(trust_env=False) as client:

            async def is_ready() -> bool:
                try:
                    return (await client.get(f"{self.url}/alive")).status_code == 200
                except httpx.HTTPError:
                    assert self._process is not None and self._process.poll() is None
                    await asyncio.sleep(0.2)
                    return False

            await eventually(is_ready, BOOT_SECONDS, f"nested server alive, see {self.log}")

    async def restart(self) -> None:
        """As a container that was killed: at once, with what is on the volume."""
        self.kill()
        self.start()
        await self.wait_ready()

    def kill(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": f"{self.home / 'bin'}:{os.environ['PATH']}",
            **self.image.environment(),
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOME": str(self.home / "tmp" / "home"),
            "TMPDIR": str(self.home / "tmp"),
            "USER": "agent",
            "SU_TO_USER": "false",
            "port": str(self.port),
            "SESSION_API_KEY": self.key,
            "ALLOW_SET_CONVERSATION_ID": "1",
            "SERVE_FRONTEND": "0",
            "ENABLE_V1": "0",
            "RUNTIME": "cli",
            "FILE_STORE": "local",
            "FILE_STORE_PATH": str(self.file_store),
            "WORKSPACE_BASE": str(self.home / "project"),
            "WORKSPACE_MOUNT_PATH_IN_SANDBOX": str(self.home / "project"),
            "OH_PERSISTENCE_DIR": str(self.home / ".openhands"),
            "SANDBOX_CLOSE_DELAY": "0",
            "SKIP_DEPENDENCY_CHECK": "1",
            "ENABLE_BROWSER": "false",
            "DISABLE_VSCODE_PLUGIN": "true",
            "OH_SANDBOX_KIND": "ProcessSandboxServiceInjector",
            "OH_SANDBOX_SPEC_KIND": "ProcessSandboxSpecServiceInjector",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "OPENHANDS_SUPPRESS_BANNER": "1",
            "LOG_JSON": "1",
            # These tests keep many conversations in one server; a pod has one.
            "MAX_CONCURRENT_CONVERSATIONS": "100",
        }


def start_openhands(home: Path) -> OpenHandsProcess:
    """Started, not awaited; a test failure that says what to do where the image is not built."""
    # The image of the tests holds the runtime's; its files are shared with tests/openhands.
    archive = cache_directory() / "images" / "openhands-tests.tar"
    root = cache_directory() / "roots" / "openhands-tests"
    try:
        image = ImageFiles(unpack(archive, root), "opt/openhands")
    except SystemExit as missing:
        pytest.fail(str(missing), pytrace=False)
    process = OpenHandsProcess(home, image)
    process.start()
    return process


def free_port() -> int:
    """Nobody listens there now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
