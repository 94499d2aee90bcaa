"""Limits of a process that runs handlers. A process that reaches one is replaced between two jobs."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..domain.option_kinds import check_range
from ..errors import InvalidOptionError

MEGABYTE = 1024 * 1024
_MOST_MEMORY = 1024**5
_STATM = Path("/proc/self/statm")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessLimits:
    """When to replace a process: after it has run `max_jobs` jobs, or when it uses more than `max_memory` bytes.

    None: no limit. Memory is resident memory. Raises `InvalidOptionError` for numbers below 1, and for `max_memory` on
    Windows, where Python cannot measure it.
    """

    max_jobs: int | None = None
    max_memory: int | None = None

    def __post_init__(self) -> None:
        if self.max_jobs is not None:
            check_range("max_jobs", self.max_jobs, 1, 1_000_000_000)
        if self.max_memory is not None:
            check_range("max_memory", self.max_memory, 1, _MOST_MEMORY)
        if self.max_memory is not None and sys.platform == "win32":
            raise InvalidOptionError("max_memory is not supported on Windows; set max_jobs instead")

    def reached(self, jobs: int, memory: Callable[[], int]) -> str | None:
        """Return which limit a process has reached after this number of jobs, or None.

        A process runs at least one job. `memory` returns the bytes in use, and is called only if they have a limit.
        """
        if jobs < 1:
            return None
        if self.max_jobs is not None and jobs >= self.max_jobs:
            return f"it has run {jobs} {'job' if jobs == 1 else 'jobs'}"
        if self.max_memory is not None and (used := memory()) > self.max_memory:
            return f"it uses {used / MEGABYTE:.0f} MB, and may use {self.max_memory / MEGABYTE:.0f} MB"
        return None


def resident_memory() -> int:
    """Return the resident memory of this process in bytes; without `/proc`, as on macOS, the most that it ever was."""
    try:
        return int(_STATM.read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except FileNotFoundError:
        import resource  # missing on Windows

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
