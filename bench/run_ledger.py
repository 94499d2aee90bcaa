"""A ledger of runs: each worker counts the runs of each job in a memory-mapped file, which outlives the worker."""

from __future__ import annotations

import json
import mmap
import struct
import time
from pathlib import Path

from .work import WARM_UP, number_of, stamp_of

_FIRST = struct.Struct("d")
_MOST = 255


class RunLedger:
    """The worker's side of the ledger. Every handler calls it once in each run, from any thread."""

    def __init__(self, path: Path, jobs: int) -> None:
        self._path = path
        size = _FIRST.size + jobs
        with path.open("w+b") as file:
            file.truncate(size)
            self._map = mmap.mmap(file.fileno(), size)
        self._runs = memoryview(self._map)[_FIRST.size :]
        self._started = False
        self._pick_ups: list[float] = []

    def __call__(self, to: str, subject: str) -> None:
        if not self._started:
            self._started = True
            _FIRST.pack_into(self._map, 0, time.monotonic())
        number = number_of(to)
        if self._runs[number] < _MOST:
            self._runs[number] += 1
        sent = stamp_of(subject)
        if sent is not None and number >= WARM_UP:
            self._pick_ups.append(time.monotonic() - sent)

    def save_pick_ups(self) -> None:
        """Write the seconds from enqueueing to running into a file next to the ledger."""
        if self._pick_ups:
            _pick_ups_path(self._path).write_text(json.dumps(self._pick_ups))


class LedgerReader:
    """The harness's side of the ledger."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("rb", buffering=0)

    def runs(self) -> bytes:
        """Return the number of runs of each job, one byte per job."""
        self._file.seek(_FIRST.size)
        return self._file.read()

    def first(self) -> float | None:
        """Return the time of the first run by the machine's monotonic clock; None before it."""
        self._file.seek(0)
        (moment,) = _FIRST.unpack(self._file.read(_FIRST.size))
        return float(moment) or None

    def pick_ups(self) -> list[float]:
        """Return the seconds from enqueueing to running of the stamped jobs."""
        path = _pick_ups_path(self._path)
        return [float(value) for value in json.loads(path.read_text())] if path.exists() else []

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _pick_ups_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.pick-ups")
