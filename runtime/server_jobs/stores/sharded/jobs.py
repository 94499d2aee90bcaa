"""The moves of jobs. A new job goes to its shard; a stored job is moved where it is."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from itertools import chain
from typing import TypeVar

from ...domain.audit import APPLICATION
from ...domain.history import WorkerReport
from ...domain.interfaces import Store
from ...domain.record import (
    EVERY_JOB,
    Cancellation,
    Claim,
    ClaimRequest,
    Deletion,
    Expired,
    Heartbeat,
    Inserted,
    JobFilter,
    JobStatus,
    LateJob,
    LeaseAnswer,
    NewJob,
    PendingWork,
    Repair,
    Retrial,
    Settlement,
)
from ...errors import DatabaseUnreachableError, InvalidOptionError, JobNotFoundError, ShardUnreachableError
from .fan_out import Call, FanOut

A = TypeVar("A", Cancellation, Retrial, Deletion)
T = TypeVar("T")


class Jobs(FanOut):
    """Enqueue, claim, settle and change."""

    _turn = 0

    async def insert(self, jobs: Sequence[NewJob]) -> Sequence[Inserted]:
        """As in `JobStore`: all or none of the jobs of each shard.

        If one shard cannot be reached, the jobs of the others are stored, and the error names it. A completion job goes
        to the shard of its batch. Raises `InvalidOptionError` if its batch has jobs in several shards.
        """
        shards = self.shards_of_new(jobs)
        by_shard = {shard: [job for job, at in zip(jobs, shards, strict=True) if at == shard] for shard in shards}
        calls = {shard: partial(_insert, jobs=some) for shard, some in by_shard.items()}
        found = await asyncio.gather(*(self.at(*each) for each in calls.items()), return_exceptions=True)
        silent = [error for error in found if isinstance(error, ShardUnreachableError)]
        for answer in found:
            if isinstance(answer, BaseException) and not isinstance(answer, ShardUnreachableError):
                raise answer
        if silent:
            raise ShardUnreachableError({name: error for one in silent for name, error in one.shards.items()})
        answers = {
            shard: iter(answer)
            for shard, answer in zip(calls, found, strict=True)
            if not isinstance(answer, BaseException)
        }
        return [next(answers[shard]) for shard in shards]

    def shards_of_new(self, jobs: Sequence[NewJob]) -> list[str]:
        """Return the shard of each new job. Raises `InvalidOptionError` as `insert` does."""
        return _with_completions(jobs, [self.shard_of(job.shard_key) for job in jobs])

    async def start(self, job: NewJob, lease: timedelta) -> Claim:
        return await self.at(self.shard_of(job.shard_key), lambda store: store.start(job, lease))

    async def claim(self, request: ClaimRequest) -> Sequence[Claim]:
        """As in `JobStore`, from one shard after another, each time beginning with the next one.

        Skips shards that do not answer. Raises `ShardUnreachableError` if none does.
        """
        names = list(self.stores)
        self._turn = (self._turn + 1) % len(names)
        claims: list[Claim] = []
        silent: dict[str, DatabaseUnreachableError] = {}
        for shard in names[self._turn :] + names[: self._turn]:
            if (left := request.limit - len(claims)) <= 0:
                break
            try:
                claims += await self.at(shard, partial(_claim, request=replace(request, limit=left)))
            except ShardUnreachableError as error:
                silent |= error.shards
        if len(silent) == len(names):
            raise ShardUnreachableError(silent)
        return claims

    async def claim_one(self, job_id: str, request: ClaimRequest) -> Claim | None:
        found = await self.locate(lambda store: store.claim_one(job_id, request))
        return None if found is None else found[1]

    async def renew(
        self, heartbeats: Sequence[Heartbeat], lease: timedelta, workers: Sequence[WorkerReport] = ()
    ) -> Sequence[LeaseAnswer]:
        answers = await self.each(lambda store: store.renew(heartbeats, lease, workers))
        found = [_first(each, LeaseAnswer.LOST) for each in zip(*answers.values(), strict=True)]
        self._check(answers, is_incomplete=LeaseAnswer.LOST in found)
        return found

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[JobStatus | None]:
        answers = await self.each(lambda store: store.settle(settlements))
        statuses = [_first(each, None) for each in zip(*answers.values(), strict=True)]
        self._check(answers, is_incomplete=None in statuses)
        return statuses

    async def expire(self, *, jitter: timedelta, except_for: Sequence[str] = ()) -> Sequence[Expired]:
        return await self._joined(lambda store: store.expire(jitter=jitter, except_for=except_for))

    async def end_batches(self, batch_ids: Sequence[str] | None = None) -> Sequence[str]:
        return await self._joined(lambda store: store.end_batches(batch_ids))

    async def cancel_late(self) -> Sequence[LateJob]:
        return await self._joined(lambda store: store.cancel_late())

    async def pending_work(self, request: ClaimRequest, tick: WorkerReport | None = None) -> PendingWork:
        found = (await self.each(lambda store: store.pending_work(request, tick))).values()
        return PendingWork(
            has_expired=any(one.has_expired for one in found),
            has_due_schedule=any(one.has_due_schedule for one in found),
            has_due_job=any(one.has_due_job for one in found),
            has_due_report=any(one.has_due_report for one in found),
            has_ended_batch=any(one.has_ended_batch for one in found),
            has_late=any(one.has_late for one in found),
        )

    async def cancel(self, job_id: str, *, by: str = APPLICATION) -> Cancellation:
        return await self._where(job_id, lambda store: store.cancel(job_id, by=by))

    async def retry(self, job_id: str, *, by: str = APPLICATION) -> None:
        await self._where(job_id, lambda store: store.retry(job_id, by=by))

    async def repair(self, repair: Repair, *, by: str = APPLICATION) -> None:
        await self._where(repair.instead_of.id, lambda store: store.repair(repair, by=by))

    async def cancel_many(
        self, job_ids: Sequence[str], *, among: JobFilter = EVERY_JOB, by: str = APPLICATION, detail: str | None = None
    ) -> Sequence[Cancellation]:
        return await self._many(
            lambda store: store.cancel_many(job_ids, among=among, by=by, detail=detail), Cancellation.NOT_FOUND
        )

    async def retry_many(
        self, job_ids: Sequence[str], *, among: JobFilter = EVERY_JOB, by: str = APPLICATION, detail: str | None = None
    ) -> Sequence[Retrial]:
        return await self._many(
            lambda store: store.retry_many(job_ids, among=among, by=by, detail=detail), Retrial.NOT_FOUND
        )

    async def delete(
        self, job_ids: Sequence[str], *, among: JobFilter = EVERY_JOB, by: str = APPLICATION, detail: str | None = None
    ) -> Sequence[Deletion]:
        return await self._many(
            lambda store: store.delete(job_ids, among=among, by=by, detail=detail), Deletion.NOT_FOUND
        )

    async def _where(self, job_id: str, call: Call[T]) -> T:
        """Call the shard that has a job. Raises `JobNotFoundError`."""
        shard = await self.shard_of_id(job_id)
        if shard is None:
            raise JobNotFoundError(job_id)
        return await self.at(shard, call)

    async def _many(self, call: Call[Sequence[A]], not_found: A) -> list[A]:
        answers = await self.each(call)
        found = [_first(each, not_found) for each in zip(*answers.values(), strict=True)]
        self._check(answers, is_incomplete=not_found in found)
        return found

    async def _joined(self, call: Call[Sequence[T]]) -> list[T]:
        return list(chain.from_iterable((await self.each(call)).values()))

    def _check(self, answers: Mapping[str, object], *, is_incomplete: bool) -> None:
        """Raise `ShardUnreachableError` if an answer is missing that a silent shard may have."""
        silent = {name: error for name, error in self.silent.items() if name not in answers}
        if is_incomplete and silent:
            raise ShardUnreachableError(silent)


async def _insert(store: Store, jobs: Sequence[NewJob]) -> Sequence[Inserted]:
    return await store.insert(jobs)


async def _claim(store: Store, request: ClaimRequest) -> Sequence[Claim]:
    return await store.claim(request)


def _first(answers: Sequence[T], none: T) -> T:
    """Return the first answer other than `none`, or else `none`."""
    return next((answer for answer in answers if answer != none), none)


def _with_completions(jobs: Sequence[NewJob], shards: Sequence[str]) -> list[str]:
    """Return the shards of new jobs, with each completion job in the shard of its batch."""
    found = list(shards)
    for index, job in enumerate(jobs):
        if job.batch_id is None or job.batch_id != job.id:
            continue
        of_batch = {at for one, at in zip(jobs, shards, strict=True) if one.batch_id == job.id and one is not job}
        if job.shard_key is not None:
            of_batch.add(shards[index])
        if len(of_batch) > 1:
            raise InvalidOptionError(
                f"{job.job_name} cannot run after a batch, because the jobs are in several shards "
                f"({', '.join(sorted(of_batch))}); enqueue one batch for each shard"
            )
        found[index] = of_batch.pop() if of_batch else found[index]
    return found
