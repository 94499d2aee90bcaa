"""Metrics of a worker and of enqueues, as Prometheus reads them."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from server_jobs import JobOptions, Worker, create_job_registry
from server_jobs.memory import InMemoryBackend
from server_jobs.stores.memory import MemoryStore
from server_jobs.testing import FakeClock
from server_jobs_integrations.prometheus import BUCKETS, PrometheusMiddleware, WorkerMetrics

from tests.runtime.example_jobs import Gate, backend_on, echo, fail, retried_at_once, text_job, turns

PARAMS = {"text": "hello"}
BOUNDS = [*map(str, BUCKETS), "+Inf"]


def read(registry: CollectorRegistry) -> dict[str, float]:
    """Return the samples by name and labels."""
    return {
        f"{sample.name}{sorted(sample.labels.values())}": sample.value
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in family.samples
    }


async def test_a_worker_counts_outcomes_and_observes_how_long_jobs_waited_and_ran() -> None:
    clock = FakeClock()
    good = text_job(echo, "Good", JobOptions(queue="mail"))
    backend = backend_on(MemoryStore(clock), good, bad := text_job(fail, "Bad", retried_at_once(3)), clock=clock)
    registry = CollectorRegistry()
    registry.register(metrics := WorkerMetrics(backend))
    await good.later(PARAMS)
    clock.advance(timedelta(seconds=7))
    await good.later(PARAMS)
    await bad.later(PARAMS)

    await Worker(backend, until_empty=True, listener=metrics).run()

    found = read(registry)
    assert found["server_jobs_worker_attempts_total['Good', 'completed', 'mail']"] == 2
    assert found["server_jobs_worker_attempts_total['Bad', 'default', 'failed']"] == 3
    for kind, good_count, bad_count in (("completed", 2, 0), ("failed", 0, 1), ("retried", 0, 2)):
        assert found[f"server_jobs_worker_{kind}_total['Good', 'mail']"] == good_count
        assert found[f"server_jobs_worker_{kind}_total['Bad', 'default']"] == bad_count
    waits = {
        bound: found[f"server_jobs_worker_wait_seconds_bucket{sorted(['Good', 'mail', bound])}"] for bound in BOUNDS
    }
    assert waits == {bound: 2 if float(bound) >= 7 else 1 for bound in BOUNDS}
    assert found["server_jobs_worker_wait_seconds_sum['Good', 'mail']"] == 7
    assert found["server_jobs_worker_run_seconds_count['Bad', 'default']"] == 3
    assert found["server_jobs_worker_running_jobs['Good', 'mail']"] == 0


async def test_a_job_counts_for_the_queue_in_which_it_was_enqueued() -> None:
    store = MemoryStore()
    before = text_job(echo, "Good", JobOptions(queue="old"))
    backend_on(store, before)
    await before.later(PARAMS)
    backend = backend_on(store, text_job(echo, "Good", JobOptions(queue="new")))
    registry = CollectorRegistry()
    registry.register(metrics := WorkerMetrics(backend))

    await Worker(backend, until_empty=True, listener=metrics).run()

    found = read(registry)
    assert found["server_jobs_worker_completed_total['Good', 'old']"] == 1
    assert found["server_jobs_worker_attempts_total['Good', 'completed', 'old']"] == 1
    assert not any("new" in name for name in found)


async def test_a_running_job_is_counted_until_it_is_over_or_released() -> None:
    gate = Gate()
    backend = backend_on(MemoryStore(), job := text_job(gate))
    registry = CollectorRegistry()
    registry.register(metrics := WorkerMetrics(backend))
    worker = Worker(backend, listener=metrics, until_empty=True)
    await job.later_many([PARAMS] * 2)

    async def stop() -> None:
        while len(gate.contexts) < 2:
            await turns()
        running.append(read(registry)["server_jobs_worker_running_jobs['Echo', 'default']"])
        worker.stop()
        worker.stop()

    running: list[float] = []
    await asyncio.gather(worker.run(), stop())

    running.append(read(registry)["server_jobs_worker_running_jobs['Echo', 'default']"])
    assert running == [2, 0]
    assert read(registry)["server_jobs_worker_attempts_total['Echo', 'default', 'released']"] == 2


async def test_enqueued_jobs_are_counted_by_the_process_that_enqueues_them() -> None:
    registry = CollectorRegistry()
    for name in ("First", "Second"):  # two registries of jobs, and one of metrics
        job = text_job(echo, name)
        jobs = create_job_registry().register(job).use(PrometheusMiddleware(registry))
        await job.using(InMemoryBackend(job_registry=jobs)).later_many([PARAMS] * 3)

    found = read(registry)

    assert found["server_jobs_enqueued_total['First', 'default']"] == 3
    assert found["server_jobs_enqueued_total['Second', 'default']"] == 3
