"""One command in a separate process, and its cost, children included."""

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
    """Wall-clock seconds, processor seconds, and the peak memory of the largest process in MB."""

    wall: float
    cpu: float
    memory: float


def measure(command: Sequence[str], folder: Path) -> Cost:
    """Run a command, and wait for its end. Raises `RuntimeError` with its output if it fails."""
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
    """Return the environment of this process, with cached bytecode, so that only the first run compiles modules."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
