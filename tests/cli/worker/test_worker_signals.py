"""A worker as a process, and the signals of operators."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from server_jobs import JobStatus

from tests.cli.shop import Shop
from tests.cli.started import SLACK, Started
from tests.cli.worker.rough_shop import RoughShop
from tests.slow import slow

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")


@pytest.fixture
def processes() -> Iterator[list[Started]]:
    """Yield a list of processes, and kill them after the test."""
    started: list[Started] = []
    yield started
    for worker in started:
        worker.kill()


@pytest.fixture
def work(shop: Shop, processes: list[Started]) -> StartWorker:
    """Start a worker and wait until it runs that job."""
    return StartWorker(shop, processes)


class StartWorker:
    def __init__(self, shop: Shop, processes: list[Started]) -> None:
        self._shop = shop
        self._processes = processes

    def __call__(self, job_id: str, *options: str, command: str = "worker") -> Started:
        worker = Started(self._shop.start(command, *options))
        self._processes.append(worker)
        if command == "worker":
            worker.wait_for(f"{job_id} started")
        else:
            self._wait_until_running(job_id)
        return worker

    def _wait_until_running(self, job_id: str) -> None:
        deadline = time.monotonic() + 30
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
    worker.wait_for("stopping: 1 still running, with 8 s to finish")
    assert worker.wait() == 0
    assert shop.record(running).status is JobStatus.COMPLETED
    assert (shop.record(waiting).status, shop.record(waiting).attempt_count) == (JobStatus.PENDING, 0)


def test_unfinished_jobs_are_released_without_counting_the_attempt(shop: Shop, work: StartWorker) -> None:
    job_id = shop.enqueue("Nap", seconds=60)
    worker = work(job_id, "--drain-timeout", "200ms")
    sent = worker.signal()
    assert worker.wait() == 0
    assert time.monotonic() - sent < 0.2 + 1 + SLACK
    record = shop.record(job_id)
    assert (record.status, record.attempt_count) == (JobStatus.PENDING, 0)
    assert "0 completed, 0 failed attempts, 1 released" in worker.text


def test_a_second_signal_gives_everything_back_at_once(shop: Shop, work: StartWorker) -> None:
    job_id = shop.enqueue("Nap", seconds=60)
    worker = work(job_id, "--drain-timeout", "60d")  # more than an operating system can wait
    worker.signal()
    worker.wait_for("stopping")
    sent = worker.signal()
    assert worker.wait() == 0
    assert time.monotonic() - sent < 1 + SLACK
    record = shop.record(job_id)
    assert (record.status, record.attempt_count) == (JobStatus.PENDING, 0)


@pytest.mark.parametrize(
    ("names", "signals", "drain"),
    [
        (("Block", "Stay", "Hang", "Prattle"), 1, 0.3),
        slow(("Match", "Compute"), 1, 0.1),
        (("Block", "Stay"), 2, 60.0),
    ],
    ids=["waiting", "computing", "at-once"],
)
def test_a_process_ends_in_time_whatever_its_handler_does(
    shop: Shop, processes: list[Started], names: tuple[str, ...], signals: int, drain: float
) -> None:
    rough = RoughShop(shop.path)
    jobs = {name: rough.enqueue(name) for name in names}
    workers = {name: _start(rough, name, f"{drain:g}s") for name in names}
    processes.extend(workers.values())
    _wait_until_running(rough, list(jobs.values()))
    time.sleep(0.2)  # the handlers start a moment later, without a sign

    sent = {}
    for _ in range(signals):
        sent = {name: worker.signal() for name, worker in workers.items()}
        time.sleep(0.05)  # signals that arrive together count as one
    ended = _wait_until_ended(workers, sent)

    bound = 1 + (drain if signals == 1 else 0)
    print("seconds after the last signal:", {name: round(seconds, 2) for name, seconds in ended.items()})
    assert max(ended.values()) < bound + SLACK
    given_back = {name for name, job_id in jobs.items() if rough.states(job_id) == [(JobStatus.PENDING, 0)]}
    assert given_back == {"Stay", "Hang", "Prattle"} & set(names)
    left = set(names) - given_back
    assert {name for name in left if rough.states(jobs[name]) == [(JobStatus.RUNNING, 1)]} == left
    assert {workers[name].process.returncode for name in left} == {1}
    if "Block" in workers:
        workers["Block"].wait_for(f"others take over when the leases expire: Block {jobs['Block']}")


def test_a_worker_continues_although_nothing_reads_its_log(shop: Shop, processes: list[Started]) -> None:
    """The job logs more than the pipe holds. Another job runs after it."""
    rough = RoughShop(shop.path)
    options = ("--queues", "prattle,default", "--concurrency", "1", "--drain-timeout", "200ms")
    talk = rough.enqueue("Prattle", seconds=0.001)
    nap = rough.enqueue("Nap", "--priority", "-1")
    worker = Started(rough.start("worker", *options), is_read=False)
    processes.append(worker)
    deadline = time.monotonic() + 20
    while rough.states(talk, nap) != [(JobStatus.COMPLETED, 1)] * 2:
        assert time.monotonic() < deadline, rough.states(talk, nap)
        time.sleep(0.05)
    worker.signal()
    assert worker.process.wait(10) == 0


def _start(shop: RoughShop, name: str, drain: str) -> Started:
    options = ("--queues", name.lower(), "--drain-timeout", drain)
    return Started(shop.start("worker", *options), is_read=name != "Prattle")


def _wait_until_running(shop: RoughShop, jobs: list[str]) -> None:
    deadline = time.monotonic() + 30
    while {status for status, _ in shop.states(*jobs)} != {JobStatus.RUNNING}:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _wait_until_ended(workers: dict[str, Started], sent: dict[str, float]) -> dict[str, float]:
    """Return how long each took to end after its signal."""
    ended: dict[str, float] = {}
    while len(ended) < len(workers):
        assert time.monotonic() < max(sent.values()) + 30, f"only these have ended: {ended}"
        for name, worker in workers.items():
            if name not in ended and worker.process.poll() is not None:
                ended[name] = time.monotonic() - sent[name]
        time.sleep(0.01)
    return ended


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), slow(signal.SIGINT, 130)])
def test_a_tick_that_is_ended_gives_its_jobs_back(
    shop: Shop, work: StartWorker, number: signal.Signals, status: int
) -> None:
    job_id = shop.enqueue("Nap", seconds=60)
    worker = work(job_id, command="tick")
    worker.signal(number)
    assert worker.wait() == status
    assert "Traceback" not in worker.text
    record = shop.record(job_id)
    assert (record.status, record.attempt_count) == (JobStatus.PENDING, 0)


_ENDS_LATE = """
import asyncio, os, signal, sys, time
from datetime import timedelta
from server_jobs_cli.worker.shutdown import Shutdown

class Work:
    def stop(self): self.stopped.set()
    def orphan(self): pass
    def abandon(self): pass

class Late:
    def __del__(self, sleep=time.sleep): sleep(1.5)

async def main():
    work.stopped = asyncio.Event()
    with shutdown.guards(work):
        os.kill(os.getpid(), signal.SIGTERM)
        await work.stopped.wait()

work = Work()
with Shutdown(timedelta(0), margin=0.5) as shutdown:
    asyncio.run(main())
sys.modules["late"] = Late()
"""


def test_a_process_whose_work_has_ended_in_time_ends_with_status_0_although_its_exit_takes_longer() -> None:
    done = subprocess.run([sys.executable, "-c", _ENDS_LATE], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
