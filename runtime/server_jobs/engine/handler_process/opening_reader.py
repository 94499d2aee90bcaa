"""The jobs that a context reads, in a database that opens at the first use."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ...domain.record import ClaimRequest, JobCount, JobQuery, JobRecord, JobSummary, UpcomingWork
from ...domain.statistics import BatchCounts
from ..backend import Backend


class OpeningReader:
    """Read jobs of a backend, and open it first."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def get(self, job_id: str) -> JobRecord | None:
        await self._backend.initialize()
        return await self._backend.store.get(job_id)

    async def list_jobs(self, query: JobQuery) -> Sequence[JobRecord]:
        await self._backend.initialize()
        return await self._backend.store.list_jobs(query)

    async def summary(self, job_id: str) -> JobSummary | None:
        await self._backend.initialize()
        return await self._backend.store.summary(job_id)

    async def list_summaries(self, query: JobQuery) -> Sequence[JobSummary]:
        await self._backend.initialize()
        return await self._backend.store.list_summaries(query)

    async def count_batch(self, batch_id: str) -> BatchCounts | None:
        await self._backend.initialize()
        return await self._backend.store.count_batch(batch_id)

    async def batch_jobs(self, batch_id: str, job_name: str) -> Sequence[str]:
        await self._backend.initialize()
        return await self._backend.store.batch_jobs(batch_id, job_name)

    async def count_jobs(self, *, since: datetime | None = None, newest: int | None = None) -> Sequence[JobCount]:
        await self._backend.initialize()
        return await self._backend.store.count_jobs(since=since, newest=newest)

    async def count_due(self, request: ClaimRequest) -> int:
        await self._backend.initialize()
        return await self._backend.store.count_due(request)

    async def upcoming_work(self, request: ClaimRequest) -> UpcomingWork:
        await self._backend.initialize()
        return await self._backend.store.upcoming_work(request)
