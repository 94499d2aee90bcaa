"""Cancel, retry, repair and delete jobs, and pause queues, with entries in the audit log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ...domain.audit import APPLICATION, AUDIT_RETENTION, AuditAction, log_entries, log_entry
from ...domain.ids import new_job_id
from ...domain.interfaces import Row, Statement, Value
from ...domain.lifecycle import is_repairable, unrepairable_reason
from ...domain.record import (
    EVERY_JOB,
    Cancellation,
    Deletion,
    JobFilter,
    JobRecord,
    JobStatus,
    PausedQueue,
    Repair,
    Retrial,
)
from ...domain.text_limits import LONGEST_NAME, check_text, is_storable
from ...errors import DatabaseError, DuplicateJobError, JobNotFoundError, JobNotRepairableError, JobNotRetryableError
from .calls import TRIES
from .parameters import EPOCH, filter_parameters, json_lists, milliseconds
from .read import Reading
from .rows import status_of, text_of, time_of

if TYPE_CHECKING:
    from ...domain.record.audit import AuditQuery, AuditRecord


class ByHand(Reading):
    async def cancel(self, job_id: str, *, by: str = APPLICATION) -> Cancellation:
        (answer,) = await self.cancel_many([job_id], by=by)
        if answer is Cancellation.NOT_FOUND:
            raise JobNotFoundError(job_id)
        return answer

    async def cancel_many(
        self, job_ids: Sequence[str], *, among: JobFilter = EVERY_JOB, by: str = APPLICATION, detail: str | None = None
    ) -> Sequence[Cancellation]:
        of = self._statements
        changed = await self._moved(AuditAction.CANCEL, (of.AUDIT_CANCEL, of.CANCEL), job_ids, among, by, detail)
        answers = {
            job_id: Cancellation.CANCELLED if row["status"] == JobStatus.CANCELLED else Cancellation.REQUESTED
            for job_id, row in changed.items()
        }
        answers |= dict.fromkeys(await self._unchanged(job_ids, answers, among), Cancellation.FINISHED)
        return [answers.get(job_id, Cancellation.NOT_FOUND) for job_id in job_ids]

    async def retry(self, job_id: str, *, by: str = APPLICATION) -> None:
        for _ in range(TRIES):
            if await self._retry([job_id], EVERY_JOB, by, None):
                return
            record = await self.get(job_id)
            if record is None:
                raise JobNotFoundError(job_id)
            await self._refuse_retry(record)
        raise DatabaseError(f"the job {job_id} and those with its unique key change too fast to retry it; try again")

    async def retry_many(
        self, job_ids: Sequence[str], *, among: JobFilter = EVERY_JOB, by: str = APPLICATION, detail: str | None = None
    ) -> Sequence[Retrial]:
        answers = dict.fromkeys(await self._retry(job_ids, among, by, detail), Retrial.RETRIED)
        for job_id, status in (await self._unchanged(job_ids, answers, among)).items():
            is_retryable = status in (JobStatus.FAILED, JobStatus.CANCELLED)
            answers[job_id] = Retrial.DUPLICATE if is_retryable else Retrial.NOT_RETRYABLE
        return [answers.get(job_id, Retrial.NOT_FOUND) for job_id in job_ids]

    async def _retry(self, job_ids: Sequence[str], among: JobFilter, by: str, detail: str | None) -> Mapping[str, Row]:
        of = self._statements
        retried = await self._moved(AuditAction.RETRY, (of.AUDIT_RETRY, of.RETRY), job_ids, among, by, detail)
        if retried:
            self._claims.expect()
            self.database.announce()
        return retried

    async def repair(self, repair: Repair, *, by: str = APPLICATION) -> None:
        before = repair.instead_of
        for _ in range(TRIES):
            if await self._changed(
                self._statements.AUDIT_REPAIR,
                self._statements.REPAIR,
                by,
                id=before.id,
                old_params=before.params,
                old_version=before.spec_version,
                params=repair.params,
                spec_version=repair.spec_version,
                concurrency_key=repair.concurrency_key,
                rate_key=repair.rate_key,
            ):
                log_entry(AuditAction.REPAIR, by, before.id, f"version {before.spec_version} to {repair.spec_version}")
                return
            record = await self.get(before.id)
            if record is None:
                raise JobNotFoundError(before.id)
            if not is_repairable(record, repair):
                raise JobNotRepairableError(record.id, unrepairable_reason(record))
            await self._refuse_duplicate(record)
        raise DatabaseError(
            f"the job {before.id} and those with its unique key change too fast to repair it; try again"
        )

    async def delete(
        self, job_ids: Sequence[str], *, among: JobFilter = EVERY_JOB, by: str = APPLICATION, detail: str | None = None
    ) -> Sequence[Deletion]:
        of = self._statements
        moves = (of.AUDIT_DELETE, of.DELETE_ATTEMPTS, of.DELETE)
        deleted = await self._moved(AuditAction.DELETE, moves, job_ids, among, by, detail)
        answers = dict.fromkeys(deleted, Deletion.DELETED)
        answers |= dict.fromkeys(await self._unchanged(job_ids, answers, among), Deletion.RUNNING)
        return [answers.get(job_id, Deletion.NOT_FOUND) for job_id in job_ids]

    async def audit_log(self, query: AuditQuery) -> Sequence[AuditRecord]:
        from .history_rows import audit_of  # late, because most processes never read the log

        rows = await self._run(
            self._statements.AUDIT_LOG,
            actor=query.actor,
            target=query.target,
            action=query.action,
            before=query.before,
            limit=query.limit,
            age=milliseconds(AUDIT_RETENTION),
        )
        return [audit_of(row) for row in rows]

    async def forget_audit(self) -> int:
        return len(await self._run(self._statements.FORGET_AUDIT, age=milliseconds(AUDIT_RETENTION)))

    async def pause_queue(self, name: str, *, by: str = APPLICATION) -> bool:
        check_text("a queue", name, LONGEST_NAME)
        is_new = await self._changed(self._statements.AUDIT_PAUSE, self._statements.PAUSE_QUEUE, by, name=name)
        if is_new:
            log_entry(AuditAction.PAUSE, by, name)
        return bool(is_new)

    async def resume_queue(self, name: str, *, by: str = APPLICATION) -> bool:
        if not is_storable(name):
            return False
        was_paused = await self._changed(self._statements.AUDIT_RESUME, self._statements.RESUME_QUEUE, by, name=name)
        if was_paused:
            log_entry(AuditAction.RESUME, by, name)
        return bool(was_paused)

    async def paused_queues(self) -> Sequence[PausedQueue]:
        rows = await self._run(self._statements.PAUSED_QUEUES)
        return [PausedQueue(text_of(row["name"]), time_of(row["paused_at"]) or EPOCH) for row in rows]

    async def _moved(
        self,
        action: AuditAction,
        statements: Sequence[Statement | None],
        job_ids: Sequence[str],
        among: JobFilter,
        by: str,
        detail: str | None,
    ) -> dict[str, Row]:
        """Execute a manual move of many jobs, with its entries in the audit log. Return the changed rows by id.

        An id that no database can store matches nothing.
        """
        ids, needed = [one for one in job_ids if is_storable(one)], [one for one in statements if one is not None]
        moved: dict[str, Row] = {}
        for some in json_lists(ids) if ids else ():
            given: dict[str, Value] = {"ids": some, **filter_parameters(among)}
            entry: dict[str, Value] = {"audit_id": new_job_id(), "actor": by, "detail": detail}
            # The filter may depend on the time, and several statements must find the same jobs.
            call = self._call if len(needed) == 1 else await self._call_at_one_time()
            *_, rows, _ = await self.database.run(
                *(call(one, **given, **(entry if "actor" in one.parameters else {})) for one in needed),
                self._call(self._statements.FORGET_AUDIT, age=milliseconds(AUDIT_RETENTION)),
            )
            moved |= {text_of(row["id"]): row for row in rows}
        log_entries(action, by, list(moved), detail)
        return moved

    async def _unchanged(
        self, job_ids: Sequence[str], changed: Mapping[str, object], among: JobFilter
    ) -> dict[str, JobStatus]:
        """Return the other jobs that are stored and match the filter, with their status."""
        rest = [job_id for job_id in job_ids if job_id not in changed and is_storable(job_id)]
        statuses: dict[str, JobStatus] = {}
        for some in json_lists(rest) if rest else ():
            rows = await self._run(self._statements.STATUSES, ids=some, **filter_parameters(among))
            statuses |= {text_of(row["id"]): status_of(row["status"]) for row in rows}
        return statuses

    async def _changed(self, audit: Statement, change: Statement, by: str, **parameters: Value) -> Sequence[Row]:
        """Execute a manual change, with audit entries for the changed rows, and return these rows.

        An id that no database can store matches nothing.
        """
        if not is_storable(str(parameters.get("id", ""))):
            return ()
        entry: dict[str, Value] = {"audit_id": new_job_id(), "actor": by}
        wanted = {name: value for name, value in parameters.items() if name in audit.parameters}
        _, rows, _ = await self.database.run(
            self._call(audit, **entry, **wanted),
            self._call(change, **parameters),
            self._call(self._statements.FORGET_AUDIT, age=milliseconds(AUDIT_RETENTION)),
        )
        return rows

    async def _refuse_retry(self, record: JobRecord) -> None:
        """Raise the error that prevents a retry of this job, unless the reason is gone."""
        if record.status not in (JobStatus.FAILED, JobStatus.CANCELLED):
            raise JobNotRetryableError(record.id, record.status)
        await self._refuse_duplicate(record)

    async def _refuse_duplicate(self, record: JobRecord) -> None:
        owners = [text_of(row["id"]) for row in await self._key_owners([record.unique_key])]
        if others := [job_id for job_id in owners if job_id != record.id]:
            raise DuplicateJobError(record.unique_key or record.id, others[0])
