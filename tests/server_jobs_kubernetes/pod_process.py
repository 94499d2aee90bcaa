"""A pod as a process of this machine: what a kubelet does with the container of a pod."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

_LOOK = 0.05
_LAST_LINES = 2_048

Document = dict[str, Any]


class PodProcess:
    """Runs the first container of `document`, a pod, and writes its state into it."""

    def __init__(self, document: Document, environment: Mapping[str, str], folder: Path, log: Path) -> None:
        self.document = document
        self.log = log
        self._environment = environment
        self._folder = folder
        self._container: Document = document["spec"]["containers"][0]
        self._process: subprocess.Popen[bytes] | None = None
        self._end: tuple[str, str] | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.set_phase("Pending", {"waiting": {"reason": "ContainerCreating"}})

    @property
    def name(self) -> str:
        return str(self.document["metadata"]["name"])

    @property
    def is_running(self) -> bool:
        return self._thread.is_alive()

    def set_phase(self, phase: str, state: Document, **more: object) -> None:
        status = {"name": self._container["name"], "state": state, "image": "", "imageID": "", "ready": False}
        container = {**status, "restartCount": 0}
        self.document["status"] = {"phase": phase, "containerStatuses": [container], **more}

    def start(self) -> None:
        """Start the container."""
        words = [*self._container.get("command", []), *self._container.get("args", [])]
        command = expanded(words, self._environment)
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                env=dict(self._environment),
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.set_phase("Running", {"running": {}})
        self._thread.start()

    def kill(self) -> None:
        """Kill the container, as an administrator of the node could."""
        for pid in self._pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def end(self) -> None:
        """Kill the container, and wait until it has ended."""
        self.kill()
        if self._thread.ident is not None:
            self._thread.join()

    def evict(self, message: str) -> None:
        """Kill the pod, because its node runs out of something."""
        self._end = ("Evicted", message)
        self.kill()

    def stop(self, grace: float) -> None:
        """Send SIGTERM, and SIGKILL after the grace period."""
        process = self._process
        if process is None:
            return
        with suppress(ProcessLookupError):
            process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(grace)
        self.end()

    def freeze(self) -> None:
        """Stop all processes of the container, as on a node that hangs."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let the processes of the container continue."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        for pid in self._pids():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _run(self) -> None:
        """Wait for the end, and kill the container if it uses more memory than its limit."""
        process, limit = self._process, _bytes(self._container.get("resources", {}).get("limits", {}).get("memory"))
        assert process is not None
        is_too_large = False
        while process.poll() is None:
            if limit is not None and not is_too_large and sum(map(_resident, self._pids())) > limit:
                is_too_large = True
                self.kill()
            time.sleep(_LOOK)
        code = process.returncode if process.returncode >= 0 else 128 - process.returncode
        reason = "OOMKilled" if is_too_large else "Completed" if code == 0 else "Error"
        terminated: Document = {"exitCode": code, "reason": reason}
        if code and self._container.get("terminationMessagePolicy") == "FallbackToLogsOnError":
            terminated["message"] = self.log.read_bytes()[-_LAST_LINES:].decode(errors="replace")
        end = {} if self._end is None else dict(zip(("reason", "message"), self._end, strict=True))
        self.set_phase("Failed" if code else "Succeeded", {"terminated": terminated}, **end)

    def _pids(self) -> list[int]:
        """Return the processes of the container, children first."""
        return [] if self._process is None else [*_descendants(self._process.pid), self._process.pid]


def _descendants(pid: int) -> Iterator[int]:
    with suppress(FileNotFoundError, ProcessLookupError):
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in map(int, children.read_text().split()):
                yield from _descendants(child)
                yield child


def _resident(pid: int) -> int:
    with suppress(FileNotFoundError, ProcessLookupError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def _bytes(quantity: str | None) -> int | None:
    return None if quantity is None else int(quantity.removesuffix("Mi")) * 1024**2


def expanded(words: Sequence[str], variables: Mapping[str, str]) -> list[str]:
    """Return the words of a command as Kubernetes starts them: `$(NAME)` is a known variable, and `$$` is a `$`."""

    def replacement(found: re.Match[str]) -> str:
        return "$" if found[0] == "$$" else variables.get(found[1], found[0])

    return [re.sub(r"\$\$|\$\(([^)]*)\)", replacement, word) for word in words]
