"""Read, list, find and count jobs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from ...domain import lifecycle
from ...domain.record import ClaimRequest, JobCount, JobQuery, JobRecord, JobSummary
from ...domain.search import FindStep, Found, FoundJob, JobPage, matches
from ...domain.statistics import BatchCounts
from .. import searching
from ..searching import Candidate, search
from .attempts import Attempts


class Reading(Attempts):
    async def get(self, job_id: str) -> JobRecord | None:
        return self._records.get(job_id)

    async def list_jobs(self, query: JobQuery) -> Sequence[JobRecord]:
        return self._listed(query)

    async def summary(self, job_id: str) -> JobSummary | None:
        record = self._records.get(job_id)
        return None if record is None else record.summary

    async def count_batch(self, batch_id: str) -> BatchCounts | None:
        stored = self._batches.get(batch_id)
        counts = Counter(self._records[job_id].status.value for job_id in stored or () if job_id != batch_id)
        return BatchCounts(**counts) if stored else None

    async def batch_jobs(self, batch_id: str, job_name: str) -> Sequence[str]:
        stored = self._batches.get(batch_id, set()) - {batch_id}
        return sorted(job_id for job_id in stored if self._records[job_id].job_name == job_name)

    async def list_summaries(self, query: JobQuery) -> Sequence[JobSummary]:
        return [record.summary for record in self._listed(query)]

    async def find(self, step: FindStep) -> Found:
        wanted, now = step.filter, self._clock.now()
        scanned = self._scanned(step.after, step.size, newest_first=step.newest_first)
        candidates: list[Candidate] = []
        read, previous = 0, step.after
        last = scanned[-1] if len(scanned) == step.size else None
        for one in map(self._records.__getitem__, scanned):
            if matches(one, wanted, now):
                if read >= searching.STEP_BYTES:
                    last = previous
                    break
                candidates.append(_candidate(one) if wanted.where else Candidate(_found(one), "", None))
                read += _size(one) if wanted.where else 0
            previous = one.id
        return Found(await search(wanted, candidates), last)

    async def find_page(self, query: JobQuery) -> JobPage:
        found = self._listed(query)
        is_last = len(found) < query.limit or not self._listed(replace(query, before=found[-1].id, limit=1))
        return JobPage(tuple(record.preview for record in found), None if is_last else found[-1].id)

    def _scanned(self, after: str, limit: int, *, newest_first: bool = False) -> list[str]:
        """Return the ids of one step of a scan."""
        if newest_first:
            return sorted((job_id for job_id in self._records if not after or job_id < after), reverse=True)[:limit]
        return sorted(job_id for job_id in self._records if job_id > after)[:limit]

    async def count_jobs(self, *, since: datetime | None = None, newest: int | None = None) -> Sequence[JobCount]:
        looked_at = self._records if newest is None else self._scanned("", newest, newest_first=True)
        records = map(self._records.__getitem__, looked_at)
        counted = [record for record in records if since is None or record.created_at >= since]
        counts = Counter((record.job_name, record.status) for record in counted)
        parked = Counter((record.job_name, record.status) for record in counted if record.is_parked)
        return [JobCount(name, status, count, parked[name, status]) for (name, status), count in sorted(counts.items())]

    async def count_due(self, request: ClaimRequest) -> int:
        now = self._clock.now()
        return sum(lifecycle.is_due(record, now) for record in self._waiting(request))

    def _listed(self, query: JobQuery) -> list[JobRecord]:
        now = self._clock.now()
        found = (
            record
            for record in self._records.values()
            if matches(record, query, now)
            and (query.before is None or record.id < query.before)
            and (query.ids is None or record.id in query.ids)
        )
        return sorted(found, key=lambda record: record.id, reverse=True)[: query.limit]


def _candidate(record: JobRecord) -> Candidate:
    is_short = _size(record) <= searching.LARGEST_SEARCHED
    return Candidate(_found(record), record.params if is_short else None, record.result if is_short else None)


def _found(record: JobRecord) -> FoundJob:
    return FoundJob(record.id, record.job_name, record.status)


def _size(record: JobRecord) -> int:
    """Return about how many bytes the documents have."""
    return len(record.params) + len(record.result or "")
