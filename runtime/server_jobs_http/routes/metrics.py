"""Metrics for Prometheus, in its text format (version 0.0.4). They come from indexes and from counts of workers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import TypeVar

from server_jobs import __version__
from server_jobs.domain.clock import Clock
from server_jobs.domain.history import WorkerRecord
from server_jobs.domain.interfaces import Store
from server_jobs.domain.record import PausedQueue
from server_jobs.domain.record.reports import Counts
from server_jobs.domain.statistics import MOST_COUNTED, EnqueuedCount, MinuteCounts, QueueState
from server_jobs.security.tokens import Scope
from starlette.requests import Request
from starlette.responses import Response

from ..described_route import Answer, Description
from ..gate import backend_of
from ..schema_parts import TEXT

_UP_TO = f"{{}}, counted up to {MOST_COUNTED:,}."
_MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

T = TypeVar("T")
Labels = dict[str, str]
Sample = tuple[Labels, float]
Place = tuple[str, str]
"""A queue and the name of a job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Numbers:
    """The numbers of one database."""

    states: Sequence[QueueState]
    totals: Sequence[MinuteCounts]
    enqueued: Sequence[EnqueuedCount]
    workers: Sequence[WorkerRecord]
    paused: Sequence[PausedQueue]

    def by_place(self, counted: Mapping[Place, T], zero: T) -> list[tuple[Place, T]]:
        """Return the counts by queue and job name, with zero for all that have other metrics.

        A series must not end, and Prometheus sees no increase in the first value of a series.
        """
        places = {(one.queue, one.job_name) for one in self.states} | {(one.queue, one.job_name) for one in self.totals}
        return sorted({**dict.fromkeys(places, zero), **counted}.items(), key=itemgetter(0))


@dataclass(frozen=True, slots=True)
class _Metric:
    """A metric with its samples."""

    name: str
    kind: str
    about: str
    samples: Iterable[Sample]

    def lines(self, common: Labels) -> Iterator[str]:
        """Yield the lines of the text format, in which each sample has the labels `common` too."""
        yield f"# HELP {self.name} {self.about}"
        yield f"# TYPE {self.name} {self.kind}"
        for labels, value in self.samples:
            shown = ",".join(f'{label}="{_escaped(text)}"' for label, text in (common | labels).items())
            yield f"{self.name}{{{shown}}} {value}"


@Description(
    "GET",
    "/metrics",
    name="metrics",
    summary="Return metrics for Prometheus.",
    scope=Scope.READ,
    answers={200: Answer(TEXT, media_type="text/plain")},
)
async def metrics(request: Request) -> Response:
    """Return gauges and counters by queue and job name, the workers, and the paused queues.

    All have the label `database` in a project with several ones.
    """
    backend = backend_of(request)
    numbers = await _read(backend.store)
    common = {} if backend.database_name is None else {"database": backend.database_name}
    found = [
        *_of_queues(numbers, backend.clock),
        _of_enqueued(numbers),
        *_of_outcomes(numbers),
        _of_workers(numbers),
        _Metric(
            "server_jobs_paused_queue",
            "gauge",
            "Queues that are paused.",
            [({"queue": one.name}, 1) for one in numbers.paused],
        ),
        _Metric("server_jobs_info", "gauge", "The version of this package.", [({"version": __version__}, 1)]),
    ]
    lines = (line for one in found for line in one.lines(common))
    return Response("\n".join(lines) + "\n", media_type=_MEDIA_TYPE)


async def _read(store: Store) -> _Numbers:
    return _Numbers(
        states=await store.queue_states(most_failed=MOST_COUNTED),
        totals=await store.finished_counts(since=None),
        enqueued=await store.enqueued_counts(),
        workers=await store.workers(),
        paused=await store.paused_queues(),
    )


def _of_workers(numbers: _Numbers) -> _Metric:
    alive = sum(worker.is_alive for worker in numbers.workers)
    dead = sum(not worker.is_alive and not worker.report.is_tick for worker in numbers.workers)
    samples = [({"state": "alive"}, alive), ({"state": "dead"}, dead)]
    return _Metric("server_jobs_workers", "gauge", "Living workers and ticks, and workers that died.", samples)


def _of_queues(numbers: _Numbers, clock: Clock) -> Iterator[_Metric]:
    labelled = [(_labels((state.queue, state.job_name)), state) for state in numbers.states]
    now = clock.now()
    ages = [
        (labels, max(0.0, round((now - state.oldest_due_at).total_seconds(), 3)) if state.oldest_due_at else 0.0)
        for labels, state in labelled
    ]
    for name, about, samples in (
        ("server_jobs_due_jobs", "Pending jobs that are due.", [(labels, state.due) for labels, state in labelled]),
        ("server_jobs_oldest_due_seconds", "How long the oldest due job has been due.", ages),
        (
            "server_jobs_scheduled_jobs",
            "Pending jobs that are not due.",
            [(labels, state.scheduled) for labels, state in labelled],
        ),
        ("server_jobs_running_jobs", "Running jobs.", [(labels, state.running) for labels, state in labelled]),
        (
            "server_jobs_failed_jobs",
            _UP_TO.format("Jobs that failed for good"),
            [(labels, state.failed) for labels, state in labelled],
        ),
        (
            "server_jobs_parked_jobs",
            _UP_TO.format("Failed jobs whose params cannot be read"),
            [(labels, state.parked) for labels, state in labelled],
        ),
    ):
        yield _Metric(name, "gauge", about, samples)


def _of_enqueued(numbers: _Numbers) -> _Metric:
    counted = {(one.queue, one.job_name): one.count for one in numbers.enqueued}
    samples = [(_labels(place), count) for place, count in numbers.by_place(counted, 0)]
    return _Metric(
        "server_jobs_enqueued_last_minute", "gauge", "Jobs that were enqueued in the last 60 seconds.", samples
    )


def _labels(place: Place) -> Labels:
    queue, job_name = place
    return {"queue": queue, "job_name": job_name}


def _of_outcomes(numbers: _Numbers) -> Iterator[_Metric]:
    counted = {(one.queue, one.job_name): one.counts for one in numbers.totals}
    labelled = [(_labels(place), counts) for place, counts in numbers.by_place(counted, Counts())]
    for name, about, samples in (
        (
            "server_jobs_completed_total",
            "Jobs that completed.",
            [(labels, counts.completed) for labels, counts in labelled],
        ),
        (
            "server_jobs_failed_total",
            "Jobs that failed for good.",
            [(labels, counts.failed) for labels, counts in labelled],
        ),
        (
            "server_jobs_retried_total",
            "Failed attempts that are retried.",
            [(labels, counts.retried) for labels, counts in labelled],
        ),
    ):
        yield _Metric(name, "counter", about, samples)


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
