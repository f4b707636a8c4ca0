"""The operator as a process of its own, so that it can be killed like one."""

import asyncio
import os
import signal
import sys
import time
from asyncio.subprocess import Process
from pathlib import Path
from weakref import WeakKeyDictionary

import aiohttp

from tests.rig.ports import free_port
from tests.rig.waiting import eventually

REPOSITORY = Path(__file__).parent.parent.parent
START_SECONDS = 60
DRAIN_SECONDS = 15

_gates: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


def _start_gate() -> asyncio.Semaphore:
    """Starting is all CPU: more operators at once than cores would only make each of them late."""
    return _gates.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(os.cpu_count() or 1))


class Operator:
    """`python -m conversations.controller` on one namespace; logs go to `log`."""

    def __init__(self, kubeconfig: Path, namespace: str, folder: Path, **settings: str) -> None:
        self.port = free_port()
        self.log = folder / f"operator-{self.port}.log"
        self._process: Process | None = None
        self._was_ready = False
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONPATH": str(REPOSITORY / "operator"),
            "PYTHONUNBUFFERED": "1",
            "KUBECONFIG": str(kubeconfig),
            "CONVERSATION_OPERATOR_NAMESPACE": namespace,
            "CONVERSATION_OPERATOR_IDENTITY": f"operator-{self.port}",
            "CONVERSATION_OPERATOR_LEASE": "",
            "CONVERSATION_OPERATOR_PORT": str(self.port),
            "CONVERSATION_OPERATOR_LOG_LEVEL": "DEBUG",
            **{f"CONVERSATION_OPERATOR_{name.upper()}": v for name, v in settings.items()},
        }

    async def start(self) -> float:
        """Start it; return the seconds until it said it was ready."""
        self._was_ready = False
        async with _start_gate():
            began = time.monotonic()
            with self.log.open("ab") as log:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    "conversations.controller",
                    env=self._environment,
                    stdout=log,
                    stderr=log,
                )
            await eventually(self.is_ready, START_SECONDS, lambda: f"/readyz; {self.tail()}")
            self._was_ready = True
            return time.monotonic() - began

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def is_serving(self) -> bool:
        """It lives, and has been ready since it was started."""
        return self.is_running and self._was_ready

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def is_ready(self) -> bool:
        assert self.is_running, f"the operator ended: {self.tail()}"
        return await self.probe("/readyz") == 200

    async def is_ready_or_dead(self) -> bool:
        return not self.is_running or await self.is_ready()

    async def probe(self, path: str) -> int:
        """HTTP status of one of its probes; 0 where nobody answers."""
        return (await self._http(path))[0]

    async def metrics(self) -> str:
        return (await self._http("/metrics"))[1]

    async def _http(self, path: str) -> tuple[int, str]:
        timeout = aiohttp.ClientTimeout(total=5)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.get(f"http://127.0.0.1:{self.port}{path}") as reply,
            ):
                return reply.status, await reply.text()
        except (aiohttp.ClientError, TimeoutError):
            return 0, ""

    def kill(self) -> None:
        """SIGKILL; returns at once."""
        if self.is_running:
            os.kill(self.pid, signal.SIGKILL)

    async def died(self, deadline_seconds: float | None = DRAIN_SECONDS) -> None:
        """Return when the process is gone."""
        assert self._process is not None
        await asyncio.wait_for(self._process.wait(), deadline_seconds)

    async def terminate(self) -> int:
        """SIGTERM, then the exit code; it must drain in time."""
        assert self._process is not None
        if self.is_running:
            self._process.terminate()
        await self.died()
        return self._process.returncode or 0

    async def stop(self) -> None:
        """Gone, whatever it was doing."""
        if self._process is not None:
            self.kill()
            await self.died()

    def resident_bytes(self) -> int:
        """VmRSS of the process."""
        return self._status_kibibytes("VmRSS:") * 1024

    def peak_resident_bytes(self) -> int:
        """VmHWM of the process."""
        return self._status_kibibytes("VmHWM:") * 1024

    def cpu_seconds(self) -> float:
        """User and system time so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def arguments(self) -> bytes:
        return Path(f"/proc/{self.pid}/cmdline").read_bytes() if self.is_running else b""

    def log_text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def tail(self, lines: int = 30) -> str:
        return "\n".join(self.log_text().splitlines()[-lines:])

    def _status_kibibytes(self, field: str) -> int:
        status = Path(f"/proc/{self.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(field))
