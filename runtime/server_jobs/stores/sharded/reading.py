"""Reading the jobs of all shards. Lists and counts leave out the shards that do not answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import chain
from operator import attrgetter
from typing import Protocol, TypeVar

from ...domain.record import ClaimRequest, JobCount, JobQuery, JobRecord, JobStatus, JobSummary, UpcomingWork
from ...domain.search import FindStep, Found, JobPage
from ...domain.statistics import BatchCounts
from ...errors import ShardUnreachableError
from .fan_out import FanOut


class _WithId(Protocol):
    @property
    def id(self) -> str: ...


J = TypeVar("J", bound=_WithId)


class Reading(FanOut):
    """Find, list and count jobs."""

    async def get(self, job_id: str) -> JobRecord | None:
        found = await self.locate(lambda store: store.get(job_id))
        return None if found is None else found[1]

    async def summary(self, job_id: str) -> JobSummary | None:
        found = await self.locate(lambda store: store.summary(job_id))
        return None if found is None else found[1]

    async def list_jobs(self, query: JobQuery) -> Sequence[JobRecord]:
        return self._page(query, (await self.each(lambda store: store.list_jobs(query))).values())

    async def list_summaries(self, query: JobQuery) -> Sequence[JobSummary]:
        return self._page(query, (await self.each(lambda store: store.list_summaries(query))).values())

    def _page(self, query: JobQuery, pages: Iterable[Sequence[J]]) -> list[J]:
        """Return the newest jobs of these pages. Raises `ShardUnreachableError` if a wanted id may be missing."""
        jobs = sorted(chain.from_iterable(pages), key=attrgetter("id"), reverse=True)[: query.limit]
        if query.ids is not None and self.silent and len(jobs) < min(query.limit, len(query.ids)):
            raise ShardUnreachableError(self.silent)
        return jobs

    async def count_batch(self, batch_id: str) -> BatchCounts | None:
        """As in `JobReader`. Raises `ShardUnreachableError` if a shard does not answer: its jobs may be unfinished."""
        found = [one for one in (await self.every(lambda store: store.count_batch(batch_id))).values() if one]
        names = ("pending", "running", "completed", "failed", "cancelled")
        return BatchCounts(**{name: sum(getattr(one, name) for one in found) for name in names}) if found else None

    async def batch_jobs(self, batch_id: str, job_name: str) -> Sequence[str]:
        """As in `JobReader`. Raises `ShardUnreachableError` if a shard does not answer."""
        found = await self.every(lambda store: store.batch_jobs(batch_id, job_name))
        return sorted(chain.from_iterable(found.values()))

    async def count_jobs(self, *, since: datetime | None = None, newest: int | None = None) -> Sequence[JobCount]:
        found: dict[tuple[str, JobStatus], JobCount] = {}
        counts = await self.each(lambda store: store.count_jobs(since=since, newest=newest))
        for one in chain.from_iterable(counts.values()):
            key = (one.job_name, one.status)
            known = found.get(key)
            found[key] = one if known is None else JobCount(*key, known.count + one.count, known.parked + one.parked)
        return [found[key] for key in sorted(found)]

    async def count_due(self, request: ClaimRequest) -> int:
        return sum((await self.each(lambda store: store.count_due(request))).values())

    async def upcoming_work(self, request: ClaimRequest) -> UpcomingWork:
        found = (await self.each(lambda store: store.upcoming_work(request))).values()
        return UpcomingWork(
            _earliest(one.until_due for one in found),
            _earliest(one.until_lease_end for one in found),
            _earliest(one.until_slot for one in found),
            _earliest(one.until_later for one in found),
        )

    async def find(self, step: FindStep) -> Found:
        """As in `JobStore`, up to the place that each shard has reached.

        Raises `ShardUnreachableError` if a shard does not answer: a change of all matching jobs would leave some out.
        """
        found = (await self.every(lambda store: store.find(step))).values()
        after = last_ids([one.after for one in found]) if step.newest_first else first_ids([one.after for one in found])
        jobs = sorted(chain.from_iterable(one.jobs for one in found), key=attrgetter("id"), reverse=step.newest_first)
        within = (job for job in jobs if after is None or (job.id >= after if step.newest_first else job.id <= after))
        return Found(tuple(within), after)

    async def find_page(self, query: JobQuery) -> JobPage:
        found = (await self.each(lambda store: store.find_page(query))).values()
        before = last_ids([one.next for one in found])
        jobs = sorted(chain.from_iterable(one.jobs for one in found), key=attrgetter("id"), reverse=True)
        within = [job for job in jobs if before is None or job.id >= before]
        if len(within) > query.limit:
            within = within[: query.limit]
            before = within[-1].id
        return JobPage(tuple(within), before)


def _earliest(waits: Iterable[timedelta | None]) -> timedelta | None:
    return min((wait for wait in waits if wait is not None), default=None)


def first_ids(places: Sequence[str | None]) -> str | None:
    """Return the place up to which all shards were scanned in ascending order; None if all are at the end."""
    return min((place for place in places if place is not None), default=None)


def last_ids(places: Sequence[str | None]) -> str | None:
    """Like `first_ids`, for a scan in descending order."""
    return max((place for place in places if place is not None), default=None)
