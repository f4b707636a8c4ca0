"""kubectl as a person would run it."""

import shutil
import subprocess
from pathlib import Path

from tests.rig.cluster import ClusterRefused, cache_directory

TIMEOUT_SECONDS = 60


def find_binary(name: str) -> str:
    """The binary that the cluster's scripts built, or the one on the PATH."""
    own = cache_directory() / "bin" / name
    found = str(own) if own.exists() else shutil.which(name)
    if found is None:
        raise ClusterRefused(f"{name} is missing: run `make cluster-up` or `make kwok-up`")
    return found


class Kubectl:
    """
    `kubectl("get", "pods", "-n", namespace).stdout`.

    A non-zero exit raises an AssertionError with what it printed, unless `check=False`.
    """

    def __init__(self, kubeconfig: Path) -> None:
        self._command = [find_binary("kubectl"), f"--kubeconfig={kubeconfig}"]

    def __call__(
        self, *args: str, input: str | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*self._command, *args],
            input=input,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"kubectl {' '.join(args)}: {done.stderr or done.stdout}")
        return done
