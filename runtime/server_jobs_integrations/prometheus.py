"""Prometheus: metrics of a worker and of enqueues, through prometheus_client. Needs the extra `metrics`."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import accumulate

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client import Counter as ExportedCounter
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from server_jobs.domain.record import Claim, Outcome
from server_jobs.engine.attempts.settler import Kind
from server_jobs.engine.backend import Backend
from server_jobs.middleware import Enqueue, Middleware

BUCKETS = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
    *(60.0, 300.0, 900.0, 3_600.0, 14_400.0),
)
"""The upper bounds of the histograms in seconds, from 5 ms to 4 hours."""

_LABELS = ("queue", "job_name")
_DATABASE = "database"
_BOUNDS = [*map(str, BUCKETS), "+Inf"]


class WorkerMetrics(Collector):
    """The metrics of one worker: a listener that counts, and a collector that any thread may read.

    Pass it to the worker, and register it where your application exports its metrics. They have the label `database` in
    a project with several ones.

        metrics = WorkerMetrics(backend)
        prometheus_client.REGISTRY.register(metrics)
        worker = Worker(backend, listener=metrics)
    """

    # Plain numbers, because the counters and histograms of prometheus_client would take a lock for each job.

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._jobs: dict[tuple[str, str], _JobMetrics] = {}

    def started(self, claim: Claim) -> None:
        """Count a running job, and observe how long it waited."""
        job = self._job(claim)
        job.running.add(claim.token)
        if claim.due_at is not None:
            job.wait.observe(max(0.0, (self._backend.clock.now() - claim.due_at).total_seconds()))

    def ended(self, claim: Claim, outcome: Outcome, error: str | None, seconds: float) -> None:
        """Count the outcome, and observe how long the attempt ran."""
        del error
        job = self._job(claim)
        job.running.discard(claim.token)
        job.outcomes[outcome] += 1
        job.run.observe(seconds)

    def collect(self) -> Iterable[Metric]:
        """Return all metrics with their current values."""
        name = self._backend.database_name
        families, common = (_Families(_LABELS), ()) if name is None else (_Families((_DATABASE, *_LABELS)), (name,))
        for place, job in list(self._jobs.items()):
            labels = (*common, *place)
            families.running.add_metric(labels, len(job.running))
            families.wait.add_metric(labels, job.wait.buckets(), job.wait.sum)
            families.run.add_metric(labels, job.run.buckets(), job.run.sum)
            for outcome, count in dict(job.outcomes).items():
                families.attempts.add_metric((*labels, outcome.value), count)
        totals = self._backend.execution.runner.counts.totals()
        for queue, job_name in sorted({key[:2] for key in totals}):
            for kind, family in families.outcomes.items():
                family.add_metric((*common, queue, job_name), totals.get((queue, job_name, kind), 0))
        return families.all()

    def _job(self, claim: Claim) -> _JobMetrics:
        job = self._jobs.get((claim.queue, claim.job_name))
        if job is None:
            job = self._jobs[claim.queue, claim.job_name] = _JobMetrics()
        return job


class _Families:
    """The metrics of a worker, without values."""

    def __init__(self, labels: Sequence[str]) -> None:
        self.running = GaugeMetricFamily(
            "server_jobs_worker_running_jobs", "Jobs that this worker runs.", labels=labels
        )
        self.wait = HistogramMetricFamily(
            "server_jobs_worker_wait_seconds", "Time from the due time of a job to its start.", labels=labels
        )
        self.run = HistogramMetricFamily(
            "server_jobs_worker_run_seconds", "Time of an attempt, until its outcome was stored.", labels=labels
        )
        self.attempts = CounterMetricFamily(
            "server_jobs_worker_attempts", "Attempts that ended, by outcome.", labels=(*labels, "outcome")
        )
        self.outcomes: dict[Kind, CounterMetricFamily] = {
            "completed": CounterMetricFamily("server_jobs_worker_completed", "Jobs that completed.", labels=labels),
            "failed": CounterMetricFamily("server_jobs_worker_failed", "Jobs that failed for good.", labels=labels),
            "retried": CounterMetricFamily(
                "server_jobs_worker_retried", "Failed attempts that are retried.", labels=labels
            ),
        }
        """The outcomes that change the counters of the database."""

    def all(self) -> list[Metric]:
        return [self.running, self.wait, self.run, self.attempts, *self.outcomes.values()]


class PrometheusMiddleware(Middleware):
    """Counts enqueued jobs as `server_jobs_enqueued_total`, by queue and job name, in this process, in all databases.

    It counts each job that an enqueue wrote without an error, also one that an unfinished job with the same unique key
    stands for.

        def setup(registry: JobRegistry) -> None:
            registry.use(PrometheusMiddleware())
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._enqueued = _enqueued(registry)

    @contextmanager
    def around_enqueue(self, enqueue: Enqueue) -> Iterator[None]:
        yield
        self._enqueued.labels(enqueue.queue, enqueue.job_name).inc(enqueue.count)


@cache  # a registry accepts each name once, but several job registries may have the middleware
def _enqueued(registry: CollectorRegistry) -> ExportedCounter:
    return ExportedCounter("server_jobs_enqueued", "Jobs that this process enqueued.", _LABELS, registry=registry)


class _JobMetrics:
    """The numbers of the jobs of one queue and name."""

    __slots__ = ("outcomes", "run", "running", "wait")

    def __init__(self) -> None:
        self.running: set[str] = set()
        self.outcomes: Counter[Outcome] = Counter()
        self.wait, self.run = _Histogram(), _Histogram()


class _Histogram:
    """Counts of observations by bucket, and their sum."""

    __slots__ = ("_counts", "sum")

    def __init__(self) -> None:
        self._counts = [0] * len(_BOUNDS)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        """Count one observation."""
        self._counts[bisect_left(BUCKETS, seconds)] += 1
        self.sum += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """The cumulative counts with their upper bounds, as Prometheus has them."""
        return list(zip(_BOUNDS, accumulate(self._counts), strict=True))
