"""The worker's side of a measurement: say that it is ready, wait for "go", and answer until told to stop."""

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
"""The variables that name the file of a worker's ledger and the number of jobs in it."""


@cache
def wait_for_go() -> RunLedger:
    """Return the ledger of this worker when the harness says "go"; at once, if it has said so."""
    ran = RunLedger(Path(os.environ[LEDGER]), int(os.environ[JOBS]))
    go = threading.Event()
    threading.Thread(target=_obey, args=(go, ran), daemon=True).start()
    answer({})
    go.wait()
    return ran


def answer(values: dict[str, object]) -> None:
    """Answer the harness with a line of JSON."""
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def _peak_memory() -> float:
    """Return the largest resident size of this process in MB."""
    status = Path("/proc/self/status")
    if status.exists():  # unlike `getrusage`, it leaves out the process that started this one
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
    os._exit(0)  # some workers cannot be stopped; the work is measured by now
