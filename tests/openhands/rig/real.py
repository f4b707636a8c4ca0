"""A real nested server in the place of the stub: OpenHands as it is installed, on loopback."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from tests.openhands.rig.nested import Nested
from tests.rig.waiting import eventually

BOOT_SECONDS = 120.0
MOUNT = "/workspace"


class RealNested(Nested):
    """The pod's environment decides, but for the cheaper runtime; `home` is the workspace volume."""

    def __init__(self, sid: str, home: Path) -> None:
        super().__init__(sid)
        self.home = home
        self.log = home / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    async def start(
        self, address: str, port: int, key: str, env: Mapping[str, str] | None = None
    ) -> None:
        """Returns when it answers, as a pod is not Ready before."""
        self.key, self.url = key, f"http://{address}:{port}"
        given = {name: value.replace(MOUNT, str(self.home)) for name, value in (env or {}).items()}
        self._spawn({**given, "SESSION_API_KEY": key, "RUNTIME": "cli"}, address, port)
        await eventually(self._is_alive, BOOT_SECONDS, lambda: f"alive; {self.log.read_text()}")

    def _spawn(self, env: Mapping[str, str], address: str, port: int) -> None:
        for name in ("settings.json", "secrets.json"):
            (Path(env["FILE_STORE_PATH"]) / name).unlink(missing_ok=True)
        Path(env["WORKSPACE_BASE"]).mkdir(parents=True, exist_ok=True)
        command = ["-m", "uvicorn", "openhands.server.listen:app", "--host", address]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, *command, "--port", str(port), "--log-level", "warning"],
                # Nothing of ours, and so no overlay: the nested server's version is the image's.
                env={"PATH": os.environ["PATH"], **env},
                cwd=self.home,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def stop(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            await asyncio.to_thread(self._process.wait)
            self._process = None

    def leave_events(self, count: int) -> None:
        """A history that is there before the server is."""
        folder = self.home / ".openhands/file_store/sessions" / self.sid / "events"
        folder.mkdir(parents=True)
        for number in range(count):
            event: Any = self.add_event()
            (folder / f"{number}.json").write_text(json.dumps(event))

    async def _is_alive(self) -> bool:
        assert self._process is not None and self._process.poll() is None, self.log.read_text()
        try:
            async with httpx.AsyncClient(trust_env=False) as client:
                return (await client.get(f"{self.url}/alive")).status_code == 200
        except httpx.HTTPError:
            await asyncio.sleep(0.3)
            return False
