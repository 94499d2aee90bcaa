"""Jobs on PostgreSQL, the demand that KEDA reads there, and what a worker can claim."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import LiteralString

import psycopg
from server_jobs import create_job_registry
from server_jobs.domain.record import Claim
from server_jobs.engine.backend import Backend
from server_jobs_generator.ir.spec import JobSpec
from server_jobs_outputs.kubernetes.demand import demand
from server_jobs_outputs.kubernetes.settings import WorkerGroup

from tests.conformance.examples import completed
from tests.conformance.postgres_databases import empty_database
from tests.generator.spec_projects import a_spec, an_object, read
from tests.runtime.example_jobs import TextJob, echo, text_job

WORKERS = WorkerGroup(name="worker")
_OPTIONS = {
    "Send": {"queue": "mail"},
    "Load": {"concurrency": {"limit": 2, "by": ["/text"]}},
    "Call": {"rate": {"limit": 3, "per": "PT1H"}},
    "Both": {"concurrency": {"limit": 1, "by": ["/text"]}, "rate": {"limit": 2, "per": "PT0.5S"}},
}


@dataclass(frozen=True, slots=True)
class ClusterDatabase:
    """An empty database of four jobs: without limits in the queue `mail`, and with each kind of limit."""

    backend: Backend
    connection: psycopg.Connection
    specs: Sequence[JobSpec]
    jobs: dict[str, TextJob]

    def query(self, group: WorkerGroup = WORKERS) -> str:
        """Return the query of a group of workers."""
        return demand(group, self.specs, {}, None)

    def demand(self, group: WorkerGroup = WORKERS, *, without: str = "", instead: str = "") -> float:
        """Return the value that KEDA gets, if wanted for a query that lacks a part."""
        query = self.query(group)
        # Not an AssertionError, which would look like a failing test.
        if without not in query:
            raise LookupError(f"the query has no {without!r} any more: sabotage what protects it now")
        (value,) = self.connection.execute(query.replace(without, instead).encode() if without else query.encode())
        return float(value[0])

    async def enqueue(self, name: str, count: int = 1, text: str = "a", delay: timedelta = timedelta(0)) -> None:
        """Enqueue jobs that differ only in their id. A negative delay makes them overdue."""
        await self.jobs[name].later_many([{"text": text}] * count, delay=max(delay, timedelta(0)))
        if delay < timedelta(0):
            self.change(f"UPDATE jobs SET scheduled_for = now() - interval '{-delay.total_seconds()} seconds'")

    async def claim(self, queues: tuple[str, ...] | None = None) -> list[Claim]:
        """Claim all jobs that a worker can claim now."""
        claims: list[Claim] = []
        while some := await self.backend.store.claim(self.backend.execution.request(limit=1000, queues=queues)):
            claims += some
        return claims

    async def complete(self, claims: Sequence[Claim]) -> None:
        """Complete running jobs."""
        await self.backend.store.settle([completed(claim) for claim in claims])

    def change(self, statement: LiteralString | str) -> None:
        """Run a statement."""
        self.connection.execute(statement.encode())


@asynccontextmanager
async def cluster_database() -> AsyncIterator[ClusterDatabase]:
    """Yield a database that no other test uses."""
    params = an_object(text={"type": "string"})
    files = {f"{name.lower()}.json": a_spec(params, title=name, **{"x-job": one}) for name, one in _OPTIONS.items()}
    with TemporaryDirectory() as folder:
        specs = read(Path(folder), files).jobs
    jobs = {spec.class_name: text_job(echo, spec.class_name, spec.options) for spec in specs}
    registry = create_job_registry()
    for job in jobs.values():
        registry.register(job)
    with empty_database() as url, psycopg.connect(url, autocommit=True) as connection:
        backend = Backend(database=url, job_registry=registry)
        registry.bind(backend)
        try:
            await backend.initialize()
            yield ClusterDatabase(backend, connection, specs, jobs)
        finally:
            await backend.shutdown()
