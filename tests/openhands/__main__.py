"""
Run this tier on each version of OpenHands: `python -m tests.openhands [VERSION...] [-- PYTEST...]`

One process a version, side by side, because importing a server is most of what a short test costs.
"""

import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.rig.cluster import find_kubeconfig
from tests.rig.kubectl import Kubectl
from tests.rig.namespaces import apply_crds

TIER = Path(__file__).parent
OVERLAYS = os.environ.get("OPENHANDS_OVERLAYS", "/opt/openhands")
INSTALLED = "1.6.0"
VERSIONS = ("1.4.0", "1.5.0", INSTALLED)


def main(arguments: list[str]) -> int:
    """0 if all passed on every version."""
    versions, given = split(arguments)
    # Once, before the processes do: their own applying then changes nothing under each other's feet.
    apply_crds(Kubectl(find_kubeconfig("kwok", "kwok-up")), str(TIER.parent.parent / "crds"))
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="openhands-tests-") as folder:
        runs = {version: start(version, given, Path(folder)) for version in versions}
        with ThreadPoolExecutor() as threads:
            results = list(threads.map(lambda item: finish(*item, Path(folder)), runs.items()))
    say(f"{dict(zip(runs, results, strict=True))} after {time.monotonic() - began:.0f} s")
    return max(map(abs, results))


def finish(version: str, run: "subprocess.Popen[bytes]", folder: Path) -> int:
    """Its exit code, once it has ended and its output is shown."""
    code = run.wait()
    log = (folder / version / "log").read_text(errors="replace")
    say(f"=== OpenHands {version}: {'passed' if code == 0 else f'exit code {code}'}\n{log}")
    return code


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


def split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Versions, and what pytest is given."""
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:cut] or list(VERSIONS), arguments[cut + 1 :] or [str(TIER)]


def start(version: str, given: list[str], folder: Path) -> "subprocess.Popen[bytes]":
    """pytest, on that version; what it prints goes to a file."""
    home = folder / version
    home.mkdir()
    overlay = [] if version == INSTALLED else [f"{OVERLAYS}-{version}"]
    environment = {
        **os.environ,
        "HOME": str(home),
        "OPENHANDS_VERSION": version,
        # The path decides: `openhands` is a namespace, and who comes first is imported.
        "PYTHONPATH": os.pathsep.join([*overlay, os.environ.get("PYTHONPATH", "")]),
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "SERVE_FRONTEND": "0",
        "OPENHANDS_SUPPRESS_BANNER": "1",
    }
    command = [sys.executable, "-m", "pytest", "-c", str(TIER / "pytest.ini")]
    with (home / "log").open("wb") as log:
        return subprocess.Popen(
            [*command, f"--basetemp={home / 'tmp'}", "-p", "no:cacheprovider", *given],
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
