"""Measured and printed: how late delayed and retried jobs start, on a quiet and on a busy queue."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event

from tests.worker.workerd import Workerd

Record = Callable[[str, object], None]

JOBS = 60
APART = 0.25
DELAY = 4
LATEST_P50, LATEST_P99 = 1_000.0, 10_000.0
"""Milliseconds. A loaded machine reaches these. With the cron trigger alone, half of the jobs are 30 s late."""


def enqueue(worker: Workerd, name: str, params: object, **options: object) -> str:
    reply = worker.request("POST", f"/_jobs/jobs/{name}", document={"params": params, **options})
    assert reply.status == 201, reply.text
    job_id: str = reply.body["id"]
    return job_id


def delayed(worker: Workerd) -> str:
    return enqueue(worker, "Shout", {"text": "later"}, delay=f"PT{DELAY}S")


def retried(worker: Workerd) -> str:
    return enqueue(worker, "Stumble", {"until": 1})


def lateness(worker: Workerd, jobs: Sequence[str]) -> list[float]:
    """Return the milliseconds between due time and start of each job, once all are completed."""
    deadline = time.monotonic() + 60
    sql = "SELECT id, worker_started_at - scheduled_for AS late FROM jobs WHERE status = 'completed'"
    while True:
        late = {str(row["id"]): float(row["late"]) for row in worker.sql(sql) if row["late"] is not None}
        if all(job in late for job in jobs):
            return sorted(late[job] for job in jobs)
        assert time.monotonic() < deadline, f"{len(late)} jobs ran\n{worker.log[-2000:]}"
        time.sleep(0.5)


def enqueued(worker: Workerd, *kinds: Callable[[Workerd], str]) -> list[list[str]]:
    """Enqueue jobs of each kind, some time apart, and return their ids."""
    jobs: list[list[str]] = [[] for _ in kinds]
    for _ in range(JOBS):
        for ids, kind in zip(jobs, kinds, strict=True):
            ids.append(kind(worker))
        time.sleep(APART)
    return jobs


@contextmanager
def busy(worker: Workerd) -> Iterator[None]:
    """Enqueue jobs of 0.2 seconds, one after the other, until the end of the block."""
    is_over = Event()

    def work() -> None:
        while not is_over.wait(0.1):
            enqueue(worker, "Linger", {"seconds": 0.2})

    with ThreadPoolExecutor(1) as threads:
        working = threads.submit(work)
        yield
        is_over.set()
        working.result()


def test_delayed_and_retried_jobs_start_when_they_are_due(alarm_worker: Workerd, record_property: Record) -> None:
    worker = alarm_worker
    (quiet,) = enqueued(worker, delayed)
    measured = {"delayed, quiet queue": lateness(worker, quiet)}
    (quiet,) = enqueued(worker, retried)
    measured["retried, quiet queue"] = lateness(worker, quiet)
    with busy(worker):
        both = enqueued(worker, delayed, retried)
        for kind, jobs in zip(("delayed", "retried"), both, strict=True):
            measured[f"{kind}, busy queue"] = lateness(worker, jobs)

    for kind, late in measured.items():
        middle, most = late[len(late) // 2], late[len(late) * 99 // 100]
        record_property("figure", f"a job starts late ({kind}, n={len(late)}): p50 {middle:.0f} ms, p99 {most:.0f} ms")
        assert late[0] >= 0
        assert middle < LATEST_P50
        assert most < LATEST_P99
