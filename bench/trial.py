"""One subject during the measurement, with its store and its processes."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.servers.fresh_store import FreshStore

from .child_process import child_environment, last_words
from .workers import Workers

_LONGEST_CALL = 600
_LONGEST_START = 60.0
_UNTIL_IDLE = 2.0


class SubjectFailedError(Exception):
    """A subject failed at a command. The message can be shown in the results."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A subject with its store and its folder. `about` is its description as JSON."""

    name: str
    about: Mapping[str, object]
    store: FreshStore
    folder: Path

    def begin(self) -> None:
        """Start from an empty store with the subject's tables."""
        self.store.renew()
        self.call("create-tables")

    def fill(self, jobs: int, *, call: str = "", size: int | None = None) -> None:
        """Enqueue jobs, and let the store finish its maintenance.

        `call` is one of the subject's bulk calls, by default the first. `size` is the length of each body.
        """
        sizes = [] if size is None else [size]
        if call or self.bulk_calls:
            self.call("put-many", jobs, call or self.bulk_calls[0], *sizes)
        else:
            self.call("put-one-by-one", jobs, *sizes)
        self.store.settle(is_analyzed=bool(self.about["is_analyzed"]))

    @property
    def place(self) -> Path:
        """The working directory of the subject's processes."""
        return place_in(self.folder)

    @property
    def bulk_calls(self) -> list[str]:
        """The subject's ways to enqueue many jobs."""
        calls = self.about["bulk_calls"]
        return list(map(str, calls)) if isinstance(calls, list) else []

    def unfinished(self, jobs: int) -> int:
        """Return the number of unfinished jobs."""
        return self.store.ask(str(self.about["unfinished"]).format(jobs=jobs))

    def results(self, jobs: int) -> int | None:
        """Return the number of stored results; None if the subject stores none."""
        question = str(self.about["results"])
        return self.store.ask(question.format(jobs=jobs)) if question else None

    def call(self, command: str, *arguments: object) -> dict[str, float]:
        """Run one command of `bench.child` in a new process, and return its answer. Raises `SubjectFailedError`."""
        answer = run_child(self.name, self.store.url, self.place, command, *arguments)
        return {name: float(value) for name, value in answer.items() if isinstance(value, int | float)}

    def workers(self, count: int, jobs: int) -> Workers:
        """Start worker processes, and wait until they are ready for "go". Raises `SubjectFailedError`."""
        worker = self.about["worker"]
        if isinstance(worker, list) and worker:
            command = [str(Path(sys.executable).with_name(worker[0])), *worker[1:]]
        else:
            command = _command(self.name, self.store.url, "work")
        url = self.store.url if "://" in self.store.url else f"sqlite:///{self.store.url}"
        environment = {**child_environment(), "SERVER_JOBS_DATABASE_URL": url}
        workers = Workers(count, jobs, command, self.folder, self.place, environment)
        silent = workers.wait_until_ready()
        if silent is not None:
            raise SubjectFailedError(f"a worker did not start: {last_words(silent)}")
        return workers

    def go(self, workers: Workers) -> float:
        """Start the work when all workers are connected, and return the time."""
        hold, release = str(self.about["hold"]), str(self.about["release"])
        if not hold:
            went = time.monotonic()
            workers.go()
            return went
        self.store.ask(hold)
        workers.go()
        workers.wait_until_idle()
        went = time.monotonic()
        self.store.ask(release)
        return went

    def idle_worker(self, jobs: int) -> Workers:
        """Return a worker that ran one job and waits for the next. Raises `SubjectFailedError`.

        `jobs` is the number of jobs in its ledger.
        """
        workers = self.workers(1, jobs)
        workers.go()
        self.call("put-one-by-one", 1)
        deadline = time.monotonic() + _LONGEST_START
        while not workers.runs()[0][0]:
            if time.monotonic() > deadline:
                workers.stop()
                raise SubjectFailedError(f"the worker did not run a job within {_LONGEST_START:g} s")
            time.sleep(0.01)
        time.sleep(_UNTIL_IDLE)
        return workers


def place_in(folder: Path) -> Path:
    """Return the working directory of the processes of the subject whose files are in `folder`."""
    place = folder / "place"
    place.mkdir(exist_ok=True)
    return place


def run_child(name: str, url: str, place: Path, command: str, *arguments: object) -> dict[str, object]:
    """Run one command of `bench.child`, and return its answer. Raises `SubjectFailedError`."""
    try:
        finished = subprocess.run(
            [*_command(name, url, command), *map(str, arguments)],
            cwd=place,
            env=child_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_LONGEST_CALL,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise SubjectFailedError(f"{command} took longer than {_LONGEST_CALL} s") from error
    lines = finished.stdout.strip().splitlines()
    if finished.returncode or not lines:
        raise SubjectFailedError(f"{command}: exit {finished.returncode}: {last_words(finished.stderr)}")
    answer: dict[str, object] = json.loads(lines[-1])
    return answer


def _command(name: str, url: str, command: str) -> list[str]:
    return [sys.executable, "-m", "bench.child", name, url, command]
