"""`server-jobs worker --max-jobs-per-process` and `--max-memory-per-process`: real processes that are replaced."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from server_jobs import JobStatus

from tests.cli.shop import Shop
from tests.cli.started import Started
from tests.cli.worker.rough_shop import RoughShop

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")


@pytest.fixture
def rough(shop: Shop) -> RoughShop:
    return RoughShop(shop.path)


@pytest.fixture
def start(rough: RoughShop) -> Iterator[Callable[..., Started]]:
    started: list[Started] = []

    def begin(*options: str) -> Started:
        started.append(Started(rough.start("worker", "--until-empty", "--poll-interval", "50ms", *options)))
        return started[-1]

    yield begin
    for process in started:
        process.kill()


def test_a_process_is_replaced_after_its_jobs_and_every_job_runs_once(
    rough: RoughShop, start: Callable[..., Started]
) -> None:
    jobs = [rough.enqueue("Leak") for _ in range(7)]
    supervisor = start("--concurrency", "2", "--max-jobs-per-process", "3")
    assert supervisor.wait() == 0, supervisor.text
    assert rough.states(*jobs) == [(JobStatus.COMPLETED, 1)] * 7
    pids = Counter(json.loads(record.result or "")["text"] for record in rough.records())
    assert sorted(pids.values()) == [1, 3, 3]
    supervisor.wait_for(r"info     worker\[1\] this worker ends when its running jobs have ended: it has run 3 jobs")
    supervisor.wait_for(r"info     worker\[1\] ended after \d.*; another one is started")
    assert "warning" not in supervisor.text


@pytest.mark.slow
def test_a_process_that_leaks_is_replaced_and_every_job_runs_once(
    rough: RoughShop, start: Callable[..., Started]
) -> None:
    jobs = [rough.enqueue("Leak") for _ in range(7)]
    supervisor = start("--concurrency", "1", "--max-memory-per-process", "0.2GB")
    assert supervisor.wait() == 0, supervisor.text
    assert rough.states(*jobs) == [(JobStatus.COMPLETED, 1)] * 7
    pids = {json.loads(record.result or "")["text"] for record in rough.records()}
    assert 2 <= len(pids) <= 6
    supervisor.wait_for(r"MB, and may use 205 MB")
    assert "warning" not in supervisor.text


@pytest.mark.slow
def test_the_job_of_a_process_that_is_killed_while_it_ends_runs_again(
    rough: RoughShop, start: Callable[..., Started]
) -> None:
    job = rough.enqueue("Nap", seconds=1.0)
    supervisor = start("--max-jobs-per-process", "1", "--lease", "300ms")
    (pid,) = (int(found[1]) for found in (supervisor.wait_for(r"at work, pid (\d+)"),))
    supervisor.wait_for("ends when its running jobs have ended: it has run 1 job$")
    os.kill(pid, signal.SIGKILL)
    supervisor.wait_for(r"warning  worker\[1\] was killed by SIGKILL")
    assert supervisor.wait() == 0, supervisor.text
    assert rough.states(job) == [(JobStatus.COMPLETED, 2)]


@pytest.mark.parametrize("size", ["512", "0MB", "half a GB", "-1MB"])
def test_a_size_needs_a_number_and_a_unit(shop: Shop, size: str) -> None:
    result = shop.run("worker", f"--max-memory-per-process={size}")
    assert result.exit_code == 2
    assert "is not a size; write a number and a unit, such as 512MB or 2GB" in result.stderr
