"""The worker's side of a measurement: report that it is ready, wait for "go", and answer questions until the stop."""

from __future__ import annotations

import json
import os
import resource
import sys
import threading
import time
from functools import cache
from pathlib import Path

from .run_ledger import RunLedger

LEDGER, JOBS = "SERVER_JOBS_BENCH_LEDGER", "SERVER_JOBS_BENCH_JOBS"
"""The environment variables with the path of a worker's ledger and the number of jobs in it."""


@cache
def wait_for_go() -> RunLedger:
    """Wait until the harness says "go", and return the ledger of this worker. Later calls return at once."""
    ran = RunLedger(Path(os.environ[LEDGER]), int(os.environ[JOBS]))
    go = threading.Event()
    threading.Thread(target=_obey, args=(go, ran), daemon=True).start()
    answer({})
    go.wait()
    return ran


def answer(values: dict[str, object]) -> None:
    """Send a line of JSON to the harness."""
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def _peak_memory() -> float:
    """Return the largest resident size of this process in MB."""
    status = Path("/proc/self/status")
    if status.exists():  # unlike `getrusage`, it excludes the parent process
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)


def _obey(go: threading.Event, ran: RunLedger) -> None:
    for line in sys.stdin:
        match line.strip():
            case "go":
                go.set()
            case "usage":
                answer({"seconds": time.process_time(), "peak_memory": _peak_memory()})
            case _:
                break
    ran.save_pick_ups()
    os._exit(0)  # the measurement is over, and some workers do not stop by themselves
