"""Store new jobs."""

from __future__ import annotations

from collections.abc import Sequence

from ...domain import lifecycle
from ...domain.audit import APPLICATION, AuditAction, enqueuer
from ...domain.options import OnConflict
from ...domain.record import Inserted, JobStatus, NewJob
from .records import Records


class Enqueuing(Records):
    def add(self, job: NewJob) -> Inserted:
        """Like `insert` for one job, without `await`."""
        if job.id in self._records:
            return Inserted(job.id, created=False)
        if self._free(job):
            job = job._replace(batch_id=None)  # as in a database, where the batch may have ended
        now = self._clock.now()
        if job.unique_key is not None and (owner := self._unfinished_keys.get(job.unique_key)) is not None:
            if job.on_conflict is OnConflict.KEEP:
                return Inserted(owner, created=False)
            record = self._records[owner]
            if record.status is JobStatus.PENDING:
                self._put(lifecycle.replace(record, job, now))
                if (actor := enqueuer.get()) != APPLICATION:
                    detail = f"new params, priority {job.priority}"
                    self._enter(AuditAction.REPLACE, actor, owner, job.job_name, detail)
                return Inserted(owner, created=False)
            self._put(lifecycle.supersede(record, job, now))
        self._put(lifecycle.enqueue(job, now))
        return Inserted(job.id, created=True)

    def _free(self, job: NewJob) -> bool:
        """Cancel a late job with the unique key of this job. Return whether there was one."""
        owner = None if job.unique_key is None else self._unfinished_keys.get(job.unique_key)
        if owner is None or not lifecycle.is_late(self._records[owner], self._clock.now()):
            return False
        self._put(lifecycle.cancel_late(self._records[owner], self._clock.now()))
        return True

    async def insert(self, jobs: Sequence[NewJob]) -> Sequence[Inserted]:
        return [self.add(job) for job in jobs]
