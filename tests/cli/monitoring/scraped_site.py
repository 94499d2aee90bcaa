"""A site with a fake clock, and a Prometheus that scrapes its real metrics every minute, as input for `promtool`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from uuid import uuid4

from prometheus_client.parser import text_string_to_metric_families
from server_jobs import Backend, Databases, JobContext, JobOptions, create_job_registry
from server_jobs.domain.record import NewJob
from server_jobs.domain.record.reports import WorkerReport
from server_jobs.engine.tick import tick
from server_jobs.stores.memory import MemoryStore
from server_jobs.testing import FakeClock
from server_jobs_cli.worker.metrics_endpoint import WorkerEndpoint
from server_jobs_http import Tokens, create_app

from tests.runtime.example_jobs import Text, backend_on, text_job
from tests.server_jobs_http.caller import TOKEN, Caller

_MINUTE = timedelta(minutes=1)
_ENDED = "stale"  # how Prometheus marks the end of a series


async def _fail_if_bad(params: Text, context: JobContext) -> Text:
    if params.text == "bad":
        raise ValueError("bad")
    return params


class ScrapedSite:
    """The routes of a database, which may be one of several, and one process of a worker."""

    def __init__(self, database_name: str | None = None) -> None:
        self.minute = 0
        self.is_scraped = True
        self.is_worker_alive = True
        self.worker = Endpoint(database_name)
        self._clock = FakeClock()
        self.store = MemoryStore(self._clock)
        job = text_job(_fail_if_bad, options=JobOptions(queue="mail"))
        self._backend: Backend = backend_on(self.store, job, clock=self._clock)
        if database_name is not None:
            registry = create_job_registry(databases={database_name: "A_VARIABLE"}).register(job)
            databases = Databases(registry, databases={database_name: self.store}, clock=self._clock)
            self._backend = databases[database_name]
        self._ask = Caller(app=create_app(self._backend, Tokens(TOKEN)))
        self._series: dict[str, list[str]] = {}

    async def enqueue(self, *texts: object) -> None:
        """Store a job for each text. A job of the text "bad" fails, and without a text its params cannot be read."""
        jobs = [
            NewJob(id=str(uuid4()), job_name="Echo", params=json.dumps({"text": text}), queue="mail", max_attempts=1)
            for text in texts
        ]
        await self.store.insert(jobs)

    async def run_jobs(self) -> None:
        """Run the due jobs."""
        await tick(self._backend)

    async def stop_worker(self) -> None:
        """Let the worker leave in order."""
        self.is_worker_alive = False
        await self.store.remove_worker(_WORKER.id)

    async def pass_minutes(self, count: int = 1) -> None:
        """Scrape, and advance the clock by a minute; that many times."""
        for _ in range(count):
            if self.is_worker_alive:
                await self.store.renew([], _MINUTE, [_WORKER])
            text = (await self._ask("GET", "/metrics")).text if self.is_scraped else ""
            self._add(text, job="mailer", instance="jobs.example.com:443")
            self._add(self.worker.metrics().decode(), job="mailer-workers", instance="10.0.0.7:9464")
            self.minute += 1
            self._clock.advance(_MINUTE)

    def input_series(self) -> Sequence[dict[str, str]]:
        """Return all series as `promtool` reads them."""
        return [{"series": name, "values": " ".join(values)} for name, values in self._series.items()]

    def _add(self, text: str, *, job: str, instance: str) -> None:
        found = {
            _series(sample.name, {**sample.labels, "job": job, "instance": instance}): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name.startswith("server_jobs_")
        }
        target = f'instance="{instance}"'
        for name in found.keys() | {name for name in self._series if target in name}:
            values = self._series.setdefault(name, ["_"] * self.minute)
            values.append(repr(found[name]) if name in found else _ENDED)


class Endpoint(WorkerEndpoint):
    """The endpoint of a worker process that claims jobs, or not."""

    reason: str | None = None

    def unready(self) -> str | None:
        return self.reason


_WORKER = WorkerReport(id="w1", host="machine", pid=17, queues=None, concurrency=5, version="1", known=(("Echo", 1),))


def _series(name: str, labels: dict[str, str]) -> str:
    return f"{name}{{{','.join(f'{label}={json.dumps(text)}' for label, text in sorted(labels.items()))}}}"
