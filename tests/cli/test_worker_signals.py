"""A worker in a process of its own, and the signals that operators send."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from server_jobs import JobStatus

from .shop import Shop

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")

SLACK = 1.0
"""What a machine under load may need for Python to start and to end."""


class WorkerProcess:
    """A worker, watched through what it prints."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []

    def wait_for(self, text: str) -> None:
        """Until it printed a line with that text."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            if text in line:
                return
        raise AssertionError(f"{text!r} was never printed: {''.join(self.lines)}")

    def signal(self, number: signal.Signals = signal.SIGTERM) -> float:
        """Send a signal; the moment it was sent."""
        self.process.send_signal(number)
        return time.monotonic()

    def wait(self) -> int:
        """Until it ended; its exit status."""
        _, rest = self.process.communicate(timeout=30)
        self.lines.append(rest)
        return self.process.returncode


@pytest.fixture
def processes() -> Iterator[list[WorkerProcess]]:
    """Processes that are gone after the test."""
    started: list[WorkerProcess] = []
    yield started
    for worker in started:
        worker.process.kill()
        worker.process.communicate()


@pytest.fixture
def work(shop: Shop, processes: list[WorkerProcess]) -> StartWorker:
    """Start a worker and wait until it runs that job."""
    return StartWorker(shop, processes)


class StartWorker:
    def __init__(self, shop: Shop, processes: list[WorkerProcess]) -> None:
        self._shop = shop
        self._processes = processes

    def __call__(self, job_id: str, *options: str, command: str = "worker") -> WorkerProcess:
        worker = WorkerProcess(self._shop.start(command, *options))
        self._processes.append(worker)
        if command == "worker":
            worker.wait_for(f"{job_id} started")
        else:
            self._wait_until_running(job_id)
        return worker

    def _wait_until_running(self, job_id: str) -> None:
        deadline = time.monotonic() + 10
        while self._shop.record(job_id).status is not JobStatus.RUNNING:
            assert time.monotonic() < deadline
            time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_running_jobs_finish_and_claims_no_more(
    shop: Shop, work: StartWorker, number: signal.Signals
) -> None:
    running = shop.enqueue("Nap", seconds=0.7)
    waiting = shop.enqueue("Nap", "--priority", "-1")
    worker = work(running, "--concurrency", "1")
    worker.signal(number)
    worker.wait_for("stopping: 1 still running, with 30 s to finish")
    assert worker.wait() == 0
    assert shop.record(running).status is JobStatus.COMPLETED
    assert (shop.record(waiting).status, shop.record(waiting).attempt_count) == (JobStatus.PENDING, 0)


def test_what_does_not_finish_in_time_is_given_back_and_its_attempt_not_counted(shop: Shop, work: StartWorker) -> None:
    job_id = shop.enqueue("Nap", seconds=60)
    worker = work(job_id, "--drain-timeout", "200ms")
    sent = worker.signal()
    assert worker.wait() == 0
    assert time.monotonic() - sent < 0.2 + 1 + SLACK
    record = shop.record(job_id)
    assert (record.status, record.attempt_count) == (JobStatus.PENDING, 0)
    assert "0 completed, 0 failed attempts, 1 given back" in "".join(worker.lines)


def test_a_second_signal_gives_everything_back_at_once(shop: Shop, work: StartWorker) -> None:
    job_id = shop.enqueue("Nap", seconds=60)
    worker = work(job_id, "--drain-timeout", "60s")
    worker.signal()
    worker.wait_for("stopping")
    sent = worker.signal()
    assert worker.wait() == 0
    assert time.monotonic() - sent < 1 + SLACK
    record = shop.record(job_id)
    assert (record.status, record.attempt_count) == (JobStatus.PENDING, 0)


def test_a_thread_that_never_ends_does_not_keep_the_process(shop: Shop, work: StartWorker) -> None:
    job_id = shop.enqueue("Hang")
    worker = work(job_id, "--drain-timeout", "100ms")
    sent = worker.signal()
    assert worker.wait() == 0
    assert time.monotonic() - sent < 0.1 + 1 + SLACK
    record = shop.record(job_id)
    assert (record.status, record.attempt_count) == (JobStatus.PENDING, 0)


def test_a_blocked_event_loop_does_not_keep_the_process_either(shop: Shop, work: StartWorker) -> None:
    job_id = shop.enqueue("Block")
    worker = work(job_id, "--drain-timeout", "100ms")
    sent = worker.signal()
    assert worker.wait() == 1
    assert time.monotonic() - sent < 0.1 + 1 + SLACK
    assert "a handler does not end; its job is taken over when its lease has run out" in worker.lines[-1]
    assert shop.record(job_id).status is JobStatus.RUNNING


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_tick_that_is_ended_gives_its_jobs_back(
    shop: Shop, work: StartWorker, number: signal.Signals, status: int
) -> None:
    job_id = shop.enqueue("Nap", seconds=60)
    worker = work(job_id, command="tick")
    worker.signal(number)
    assert worker.wait() == status
    assert "Traceback" not in worker.lines[-1]
    record = shop.record(job_id)
    assert (record.status, record.attempt_count) == (JobStatus.PENDING, 0)
