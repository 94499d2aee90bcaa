"""Worker processes that start together at "go", and their ledgers."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from .run_ledger import LedgerReader
from .starting_line import JOBS, LEDGER

_STOP_SECONDS = 10
_APART, _IDLE_SECONDS = 0.2, 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """The processor time of all worker processes in seconds, and the peak memory of the largest in MB."""

    cpu_seconds: float
    peak_memory: float


class Workers:
    """`count` processes of a command, each with a ledger for `jobs` jobs in `folder`.

    They run in `place` with the variables `environment`, and log to a file. As a context manager, this stops them.
    """

    def __init__(
        self, count: int, jobs: int, command: Sequence[str], folder: Path, place: Path, environment: Mapping[str, str]
    ) -> None:
        self._ledgers = [folder / f"worker-{number}" for number in range(count)]
        self._command, self._place, self._environment = command, place, {**environment, JOBS: str(jobs)}
        self._readers: list[LedgerReader] = []
        for ledger in self._ledgers:
            ledger.with_name(f"{ledger.name}.pick-ups").unlink(missing_ok=True)
        self._errors = (folder / "worker-errors").open("w+")
        self._processes = [self._start(ledger) for ledger in self._ledgers]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        for reader in self._readers:
            reader.close()
        self._errors.close()

    def wait_until_ready(self) -> str | None:
        """Wait until all processes are ready. If one fails, stop all and return the error output, else return None."""
        for process in self._processes:
            if not _answer_of(process):
                self.stop()
                return self.error_output()
        self._readers = [LedgerReader(ledger) for ledger in self._ledgers]
        return None

    def go(self) -> None:
        """Let all processes start to work."""
        self._tell("go")

    def runs(self) -> list[bytes]:
        """Return the number of runs of each job, for each worker."""
        return [reader.runs() for reader in self._readers]

    def first(self) -> float | None:
        """Return the time of the first run in any worker; None before it."""
        return min((moment for reader in self._readers if (moment := reader.first())), default=None)

    def usage(self) -> Usage:
        """Ask the processes for their usage since they started."""
        self._tell("usage")
        answers = [json.loads(_answer_of(process)) for process in self._processes]
        return Usage(
            cpu_seconds=sum(float(answer["seconds"]) for answer in answers),
            peak_memory=max(float(answer["peak_memory"]) for answer in answers),
        )

    def wait_until_idle(self) -> None:
        """Wait until the processes use hardly any processor time. Then workers that connect after "go" are ready."""
        before, used = 0.0, self.usage().cpu_seconds
        while used - before > _IDLE_SECONDS * len(self._processes):
            time.sleep(_APART)
            before, used = used, self.usage().cpu_seconds

    def stop(self) -> None:
        """Stop the processes, and kill slow ones. Repeated calls are harmless."""
        self._tell("stop")
        for process in self._processes:
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with suppress(BrokenPipeError):
                        stream.close()

    def pick_ups(self) -> list[float]:
        """Return the seconds from enqueueing to running. Call this after `stop`."""
        return [value for reader in self._readers for value in reader.pick_ups()]

    def error_output(self) -> str:
        """Return the error output of all processes."""
        self._errors.flush()
        self._errors.seek(0)
        return self._errors.read()

    def _start(self, ledger: Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self._command,
            cwd=self._place,
            env={**self._environment, LEDGER: str(ledger)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    def _tell(self, word: str) -> None:
        for process in self._processes:
            if process.stdin is not None and not process.stdin.closed:
                with suppress(BrokenPipeError):
                    process.stdin.write(f"{word}\n")
                    process.stdin.flush()


def _answer_of(process: subprocess.Popen[str]) -> str:
    return process.stdout.readline() if process.stdout else ""
