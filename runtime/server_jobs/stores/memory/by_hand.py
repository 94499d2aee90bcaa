"""Cancel, retry, repair and delete jobs, and pause queues, with entries in the audit log."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from ...domain import lifecycle
from ...domain.audit import APPLICATION, AUDIT_RETENTION, AuditAction
from ...domain.record import EVERY_JOB, Cancellation, Deletion, JobFilter, JobStatus, PausedQueue, Repair, Retrial
from ...domain.record.audit import AuditQuery, AuditRecord
from ...domain.text_limits import LONGEST_NAME, check_text
from ...errors import DuplicateJobError, JobNotRepairableError, JobNotRetryableError
from .records import Records


class ByHand(Records):
    async def cancel(self, job_id: str, *, by: str = APPLICATION) -> Cancellation:
        self._find(job_id)
        return self._cancel(job_id, EVERY_JOB, by, None)

    async def cancel_many(
        self, job_ids: Sequence[str], *, among: JobFilter = EVERY_JOB, by: str = APPLICATION, detail: str | None = None
    ) -> Sequence[Cancellation]:
        answers = {job_id: self._cancel(job_id, among, by, detail) for job_id in dict.fromkeys(job_ids)}
        return [answers[job_id] for job_id in job_ids]

    async def retry(self, job_id: str, *, by: str = APPLICATION) -> None:
        record = self._find(job_id)
        match self._retry(job_id, EVERY_JOB, by, None):
            case Retrial.NOT_RETRYABLE:
                raise JobNotRetryableError(job_id, record.status)
            case Retrial.DUPLICATE:
                key = record.unique_key or ""
                raise DuplicateJobError(key, self._unfinished_keys[key])
            case _:
                return

    async def retry_many(
        self, job_ids: Sequence[str], *, among: JobFilter = EVERY_JOB, by: str = APPLICATION, detail: str | None = None
    ) -> Sequence[Retrial]:
        answers = {job_id: self._retry(job_id, among, by, detail) for job_id in sorted(set(job_ids))}
        return [answers[job_id] for job_id in job_ids]

    async def repair(self, repair: Repair, *, by: str = APPLICATION) -> None:
        record = self._find(repair.instead_of.id)
        if not lifecycle.is_repairable(record, repair):
            raise JobNotRepairableError(record.id, lifecycle.unrepairable_reason(record))
        owner = None if record.unique_key is None else self._unfinished_keys.get(record.unique_key)
        if record.unique_key is not None and owner not in (None, record.id):
            raise DuplicateJobError(record.unique_key, owner or "")
        self._put(lifecycle.repair(record, repair, self._clock.now()))
        detail = f"version {record.spec_version} to {repair.spec_version}"
        self._enter(AuditAction.REPAIR, by, record.id, record.job_name, detail)

    async def delete(
        self, job_ids: Sequence[str], *, among: JobFilter = EVERY_JOB, by: str = APPLICATION, detail: str | None = None
    ) -> Sequence[Deletion]:
        answers = {job_id: self._delete(job_id, among, by, detail) for job_id in dict.fromkeys(job_ids)}
        return [answers[job_id] for job_id in job_ids]

    async def audit_log(self, query: AuditQuery) -> Sequence[AuditRecord]:
        await self.forget_audit()
        found = (
            entry
            for entry in reversed(self._audit)
            if query.actor in (None, entry.actor)
            and query.target in (None, entry.target)
            and query.action in (None, entry.action)
            and (query.before is None or entry.id < query.before)
        )
        return list(islice(found, query.limit))

    async def forget_audit(self) -> int:
        since, before = self._clock.now() - AUDIT_RETENTION, len(self._audit)
        self._audit = [entry for entry in self._audit if entry.at >= since]
        return before - len(self._audit)

    async def pause_queue(self, name: str, *, by: str = APPLICATION) -> bool:
        check_text("a queue", name, LONGEST_NAME)
        if name in self._paused:
            return False
        self._paused[name] = self._clock.now()
        self._enter(AuditAction.PAUSE, by, name)
        return True

    async def resume_queue(self, name: str, *, by: str = APPLICATION) -> bool:
        if self._paused.pop(name, None) is None:
            return False
        self._enter(AuditAction.RESUME, by, name)
        return True

    async def paused_queues(self) -> Sequence[PausedQueue]:
        return [PausedQueue(name, paused_at) for name, paused_at in sorted(self._paused.items())]

    def _cancel(self, job_id: str, among: JobFilter, by: str, detail: str | None) -> Cancellation:
        record = self._matching(job_id, among)
        if record is None:
            return Cancellation.NOT_FOUND
        after = lifecycle.cancel(record, self._clock.now())
        self._put(after)
        if after is record:
            return Cancellation.FINISHED
        is_cancelled = after.status is JobStatus.CANCELLED
        remarks = (detail, None if is_cancelled else "asked to stop")
        self._enter(AuditAction.CANCEL, by, job_id, record.job_name, "; ".join(filter(None, remarks)) or None)
        return Cancellation.CANCELLED if is_cancelled else Cancellation.REQUESTED

    def _retry(self, job_id: str, among: JobFilter, by: str, detail: str | None) -> Retrial:
        record = self._matching(job_id, among)
        if record is None:
            return Retrial.NOT_FOUND
        if not lifecycle.is_retryable(record):
            return Retrial.NOT_RETRYABLE
        if record.unique_key is not None and record.unique_key in self._unfinished_keys:
            return Retrial.DUPLICATE
        self._put(lifecycle.retry(record, self._clock.now()))
        self._enter(AuditAction.RETRY, by, job_id, record.job_name, detail)
        return Retrial.RETRIED

    def _delete(self, job_id: str, among: JobFilter, by: str, detail: str | None) -> Deletion:
        record = self._matching(job_id, among)
        if record is None:
            return Deletion.NOT_FOUND
        if record.status is JobStatus.RUNNING:
            return Deletion.RUNNING
        if record.status is JobStatus.PENDING:
            self._dequeue([record])
            self._expiring.discard(job_id)
            if record.unique_key is not None:
                del self._unfinished_keys[record.unique_key]
        self._remove(job_id)
        self._enter(AuditAction.DELETE, by, job_id, record.job_name, detail)
        return Deletion.DELETED
