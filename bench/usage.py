"""What a measuring process has used of the machine so far."""

import json
import resource
import time
from pathlib import Path


def report(began: float) -> None:
    """Print seconds since `began` (monotonic), CPU seconds, and memory now and at its peak in MiB."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    status = Path("/proc/self/status").read_text().splitlines()
    memory = {line.split()[0]: int(line.split()[1]) / 1024 for line in status if "kB" in line}
    figures = {
        "seconds": time.monotonic() - began,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "resident_mebibytes": memory["VmRSS:"],
        "peak_mebibytes": memory["VmHWM:"],
    }
    print(json.dumps(figures), flush=True)
