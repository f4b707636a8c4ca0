"""A real server of one of our images on loopback, in a process of its own."""

import asyncio
import contextlib
import os
import secrets
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Self

import httpx

from tests.contract.image_files import ImageFiles, image_files
from tests.rig.ports import free_port
from tests.rig.waiting import eventually

BOOT_SECONDS = 110.0


class ServerProcess(ABC):
    """One server; `home` plays the part of the workspace volume and outlives it."""

    image_name: ClassVar[str]
    venv: ClassVar[str]
    ready_path: ClassVar[str]

    def __init__(self, home: Path) -> None:
        self.home = home
        self.image: ImageFiles = image_files(self.image_name, self.venv)
        self.key = secrets.token_urlsafe(32)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.workspace = home / "project"
        self.log = home / "server.log"
        self._process: subprocess.Popen[bytes] | None = None
        for folder in (home / "tmp", self.workspace):
            folder.mkdir(parents=True, exist_ok=True)

    @abstractmethod
    def command(self) -> list[str]:
        """What the image's container would run."""

    @abstractmethod
    def environment(self) -> dict[str, str]:
        """As the operator gives it to a pod, for folders below `home`."""

    def start(self) -> None:
        """Start it; it is not ready yet."""
        known = {"PATH": os.environ["PATH"], "TMPDIR": str(self.home / "tmp")}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                cwd=self.home,
                env=known | self.image.environment() | self.environment(),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def wait_ready(self) -> None:
        """Return once its readiness probe would pass."""
        async with httpx.AsyncClient(trust_env=False) as client:

            async def is_ready() -> bool:
                try:
                    answer = await client.get(f"{self.url}{self.ready_path}")
                except httpx.HTTPError:
                    assert self._process is not None and self._process.poll() is None
                    await asyncio.sleep(0.2)
                    return False
                return answer.status_code == 200

            await eventually(is_ready, BOOT_SECONDS, f"the server ready, see {self.log}")

    async def restart(self) -> None:
        """As a container that was killed: at once, with what is on the volume."""
        self.kill()
        self.start()
        await self.wait_ready()

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

    @contextlib.contextmanager
    def running(self) -> Iterator[Self]:
        """Started, and killed at the end; not ready yet."""
        self.start()
        try:
            yield self
        finally:
            self.kill()

    @contextlib.contextmanager
    def ready(self) -> Iterator[Self]:
        """Ready, for as long as the block lasts, and killed at the end."""
        with self.running():
            asyncio.run(self.wait_ready())
            yield self
