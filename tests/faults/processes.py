"""The processes of a test: start them through the nursery, kill, stop, continue, and wait."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.faults.plans import Plan, as_text

ROOT = Path(__file__).parents[2]
PATIENCE = 120


class Nursery:
    """Starts programs of `tests.faults.programs` as processes, within milliseconds."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.nursery"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, plan: Plan) -> Process:
        """Start a process that runs the program of the plan."""
        return Process(int(self.ask(f"start {plan.program} {as_text(plan)}")), self)

    def ask(self, request: str) -> str:
        """Return the answer to a request."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(f"{request}\n")
        stdin.flush()
        return stdout.readline().strip()

    def close(self) -> None:
        """Kill every started process."""
        self._process.communicate(timeout=30)


@dataclass(frozen=True)
class Process:
    """A started process."""

    pid: int
    nursery: Nursery

    def send(self, number: signal.Signals) -> None:
        """Send a signal; harmless after its end."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill the process as a power cut would, and wait for its end."""
        self.send(signal.SIGKILL)
        self.wait()

    def wait(self) -> int:
        """Return its exit code, negative for a signal. Fails if it does not end."""
        code = self.nursery.ask(f"wait {self.pid} {PATIENCE}")
        assert code != "running", f"process {self.pid} does not end"
        return int(code)

    def is_alive(self) -> bool:
        """Return whether it still exists: running or stopped."""
        return self.nursery.ask(f"wait {self.pid} 0") == "running"
