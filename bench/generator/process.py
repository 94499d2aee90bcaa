"""One command in a process of its own, and what it cost, its children included."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_MEBIBYTE = 1024 * 1024 if sys.platform == "darwin" else 1024


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds on the clock and of processors, and the most memory of any of the processes in MB."""

    wall: float
    cpu: float
    memory: float


def measure(command: Sequence[str], folder: Path) -> Cost:
    """Run it and wait for it. Raises `RuntimeError` with what it printed unless it succeeds."""
    printed = folder / ".printed"
    with printed.open("wb") as stream:
        began = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, stdout=stream, stderr=stream, env=_environment())
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{command} failed: {printed.read_text(encoding='utf-8', errors='replace')}")
    return Cost(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / _MEBIBYTE)


def _environment() -> dict[str, str]:
    """This one, in which modules are compiled once and not in every run."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
