"""Drains, and a steady load with a retention, by workers of this process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import psycopg
from server_jobs import JobOptions, Retention, Worker, connect, create_job_registry

from tests.runtime.example_jobs import Text, echo, text_job

_TEXT = Text(text="a note of a usual length, which a handler returns as it is " * 4)
_SIZES = """
SELECT pg_relation_size('jobs'), pg_indexes_size('jobs'),
       (SELECT sum(pg_total_relation_size(CAST(name AS regclass))) FROM unnest(CAST(%s AS text[])) AS name),
       (SELECT count(*) FROM jobs WHERE status = 'pending' AND concurrency_key IS NULL)
"""
_OTHERS = ["job_attempts", "job_counts", "job_starts", "job_workers"]
_MEGABYTE = 1024 * 1024


async def drain(url: str, count: int) -> float:
    """Enqueue that many jobs, and return the seconds in which a worker runs them."""
    job = text_job(echo, "Note")
    async with connect(create_job_registry().register(job), url) as backend:
        await job.later_many([_TEXT] * count)
        began = time.perf_counter()
        await Worker(backend, until_empty=True).run()
        return time.perf_counter() - began


@dataclass(frozen=True, slots=True)
class Sample:
    """Megabytes of the table `jobs`, of its indexes and of the other tables, at a time in seconds from the start."""

    at: float
    table: float
    indexes: float
    others: float
    pending: int
    """Jobs that no worker has claimed yet."""

    def __str__(self) -> str:
        return (
            f"{self.at:5.0f} s: table {self.table:6.1f} MB, indexes {self.indexes:6.1f} MB, other tables "
            f"{self.others:5.1f} MB, {self.pending:6d} pending jobs"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """So many jobs per second, for so many seconds, whose rows stay for the time of `retention`."""

    rate: int
    seconds: float
    retention: timedelta | None
    every: float
    """Seconds between two samples."""

    async def run(self, url: str) -> list[Sample]:
        """Run the load with one worker, and return the samples."""
        job = text_job(echo, "Note", JobOptions(retention=Retention(completed=self.retention)))
        async with connect(create_job_registry().register(job), url) as backend:
            worker = Worker(backend)
            running = asyncio.create_task(worker.run())
            enqueued, began, samples = 0, time.perf_counter(), list[Sample]()
            while (elapsed := time.perf_counter() - began) < self.seconds:
                if missing := int(elapsed * self.rate) - enqueued:
                    await job.later_many([_TEXT] * missing)
                    enqueued += missing
                if elapsed >= self.every * (len(samples) + 1):
                    samples.append(await asyncio.to_thread(_sample, url, elapsed))
                await asyncio.sleep(0.1)
            worker.stop()
            await running
        return samples


def _sample(url: str, at: float) -> Sample:
    with psycopg.connect(url) as connection:
        row = connection.execute(_SIZES, [_OTHERS]).fetchone()
    assert row is not None
    table, indexes, others = (float(size) / _MEGABYTE for size in row[:3])
    return Sample(at, table, indexes, others, row[3])


def grows(sizes: Sequence[float], *, by: float) -> bool:
    """Whether the last third of these sizes exceeds the middle third by this factor. The first third warms up."""
    third = len(sizes) // 3
    return max(sizes[-third:]) > by * max(sizes[third:-third])
