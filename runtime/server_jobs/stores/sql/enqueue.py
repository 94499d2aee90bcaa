"""Store new jobs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from itertools import groupby, islice
from typing import NoReturn

from ...domain.audit import APPLICATION, AuditAction, enqueuer, log_entries
from ...domain.ids import new_batch, new_job_id
from ...domain.interfaces import Row, Statement, Value
from ...domain.options import OnConflict
from ...domain.record import Claim, Inserted, NewJob, shared_fields
from ...errors import DatabaseError, DuplicateIdError, DuplicateJobError
from .calls import TRIES, Calls
from .conflicts import answer_of, ids_by_key, is_kept, merged, owners_of
from .parameters import (
    LONG_TEXT,
    BoundCall,
    is_large,
    json_lists,
    json_objects,
    milliseconds,
    new_job_lists,
    new_job_row,
    own_values,
    parts_of,
    shared_parameters,
)
from .rows import claims_of, is_packed, text_of, unpacked

_AT_ONCE = 1000  # rows per statement, so that its memory stays small


class Enqueuing(Calls):
    async def insert(self, jobs: Sequence[NewJob]) -> Sequence[Inserted]:
        if len(jobs) == 1 and jobs[0].unique_key is None:
            return [await self._insert_one(jobs[0])]
        if await self.store_new(jobs):
            return _all_created(jobs)
        created, owners = await self._store(jobs)
        if len(created) == len(jobs):
            return _all_created(jobs)
        answers = await self._answers(jobs, created, owners)
        for _ in range(TRIES):
            ended = [index for index, answer in enumerate(answers) if answer is None]
            if not ended:
                break
            # The batch may have ended without them, so they do not belong to it.
            again = [jobs[index]._replace(batch_id=None) for index in ended]
            await self.database.run(*self._freeing(again))
            for index, answer in zip(ended, await self._answers(again, *await self._store(again)), strict=True):
                answers[index] = answer
        return [answer or _raise_unsettled(job) for answer, job in zip(answers, jobs, strict=True)]

    async def _insert_one(self, job: NewJob) -> Inserted:
        """Insert one job without a unique key, the usual case."""
        rows = await self.database.run(self._call(self._statements.INSERT_ONE, **new_job_row(job)))
        if rows[0]:
            self._announce()
        return Inserted(job.id, created=bool(rows[0]))

    async def store_new(self, jobs: Sequence[NewJob]) -> bool:
        """Store jobs in one transaction if none has a unique key or a stored id. Return whether they are stored."""
        statement = self._statements.INSERT_NEW
        if statement is None or not jobs or [job for job in jobs if job.unique_key is not None]:
            return False
        calls = [
            self._call(statement, **shared_parameters(some[0]), **new_job_lists(some)) for some in self._alike(jobs)
        ]
        try:
            await self.database.run(*calls)
        except DuplicateIdError:
            return False
        self._announce()
        return True

    async def _store(self, jobs: Sequence[NewJob]) -> tuple[list[str], Mapping[str, str]]:
        """Store jobs in one transaction. Return the ids of the new ones, and the owners of keys as in `_answers`."""
        kept, replacing = jobs, list[BoundCall]()
        if [job for job in jobs if job.unique_key is not None]:
            kept = sorted(jobs, key=_by_key)  # a fixed order of keys prevents deadlocks
            if not all(map(is_kept, kept)):
                replacing = self._replacing(merged(job for job in kept if not is_kept(job)))
                kept = [job for job in kept if is_kept(job)]
        calls = self._creating(kept)
        run = self._run_until_stored if replacing else self.database.run
        answers = await run(*calls, *replacing) if jobs else []
        created = _ids_in(answers[: len(calls)])
        changed = [row for rows in answers[len(calls) :] for row in rows if "unique_key" in list(row.keys())]
        owners = owners_of(changed) if changed else {}
        if created or owners:
            self._announce()
        if owners and (actor := enqueuer.get()) != APPLICATION:
            new = {job.id for job in jobs}
            log_entries(AuditAction.REPLACE, actor, [owner for owner in owners.values() if owner not in new])
        return created, owners

    async def _run_until_stored(self, *calls: BoundCall) -> Sequence[Sequence[Row]]:
        """Run calls in one transaction. Repeat them if another one stores the same job at this moment."""
        for _ in range(TRIES):
            with suppress(DuplicateIdError):
                return await self.database.run(*calls)
        return await self.database.run(*calls)

    def _announce(self) -> None:
        self._claims.expect()
        self.database.announce()

    def _creating(self, jobs: Sequence[NewJob]) -> list[BoundCall]:
        """Return the calls that store these jobs. Each of them answers with the ids of the new ones."""
        if len(jobs) == 1:
            return [self._one(self._statements.INSERT_ONE, jobs[0])]
        return [call for some in self._alike(jobs) for call in self._creating_alike(some)]

    def _creating_alike(self, jobs: Sequence[NewJob]) -> Iterator[BoundCall]:
        of, packed, inserted = self._statements, self._statements.PACKED_INSERT, self._statements.PACKED_INSERTED
        if len(jobs) == 1:
            yield self._one(of.INSERT_ONE, jobs[0])
            return
        call, shared = self._call_with([job.unique_key for job in jobs]), shared_parameters(jobs[0])
        for own in self._own_parameters(jobs):
            if self._dialect.packs_rows and packed is not None and inserted is not None:
                yield call(packed, **shared, **own)
                yield self._call(inserted)
            else:
                yield call(of.INSERT, **shared, **own)

    def _one(self, statement: Statement, job: NewJob, **parameters: Value) -> BoundCall:
        call = self._call if job.unique_key is None else self._waiting_call
        return call(statement, **new_job_row(job), **parameters)

    def _alike(self, jobs: Iterable[NewJob]) -> Iterator[Sequence[NewJob]]:
        """Yield the jobs in order, in one list per statement."""
        for _, group in groupby(jobs, key=shared_fields):
            while alike := list(islice(group, _AT_ONCE)):
                yield from parts_of(alike) if self._dialect.takes_lists else _with_large_ones_apart(alike, self.name)

    def _own_parameters(self, jobs: Sequence[NewJob]) -> Iterator[dict[str, Value]]:
        """Yield the fields of jobs that differ within a call, for each statement."""
        if self._dialect.takes_lists:
            yield new_job_lists(jobs)
        else:
            for text in json_objects(own_values(jobs)):
                yield {"jobs": text}

    def _replacing(self, jobs: Sequence[NewJob]) -> list[BoundCall]:
        """Return the calls that store these jobs in the place of unfinished ones. They answer with owners of keys."""
        of, calls = (
            self._statements,
            [self._call(self._statements.SUPERSEDE, keys=text) for text in json_objects(ids_by_key(jobs))],
        )
        for chunk in self._alike(jobs):
            reschedules = int(chunk[0].on_conflict is OnConflict.RESCHEDULE)
            if len(chunk) == 1:
                calls.append(self._one(of.REPLACE_ONE, chunk[0], reschedules=reschedules))
            else:
                shared = {**shared_parameters(chunk[0]), "reschedules": reschedules}
                calls += [self._call(of.REPLACE, **shared, **own) for own in self._own_parameters(chunk)]
        if (actor := enqueuer.get()) != APPLICATION:
            entry = {"audit_id": new_job_id(), "actor": actor}
            calls += [self._call(of.AUDIT_REPLACE, **entry, keys=text) for text in json_objects(ids_by_key(jobs))]
        return calls

    async def _answers(
        self, jobs: Sequence[NewJob], created: Sequence[str], owners: Mapping[str, str]
    ) -> list[Inserted | None]:
        """Return the answers. `owners` are the jobs that replaced others, or were changed instead, by unique key."""
        keys = [job.unique_key for job in jobs if job.unique_key is not None and is_kept(job)]
        is_open = bool(keys) or any(job.unique_key not in owners for job in jobs if not is_kept(job))
        found = await self._key_owners(keys, [job.id for job in jobs]) if is_open else []
        answers = _inserted(jobs, created, found)
        stored = {text_of(row["id"]) for row in found if row["unique_key"] is None}
        return [
            answer if is_kept(job) else answer_of(job, owners, stored)
            for job, answer in zip(jobs, answers, strict=True)
        ]

    async def start(self, job: NewJob, lease: timedelta) -> Claim:
        batch = new_batch()
        for _ in range(TRIES):
            call = self._call_with([job.unique_key])
            (started,) = await self.database.run(
                call(self._statements.START, **new_job_row(job), lease=milliseconds(lease), batch=batch)
            )
            if started:
                return claims_of(started, batch)[0]
            owners = await self._key_owners([job.unique_key], [job.id]) or await self._replaced_jobs(job)
            if owners:
                raise DuplicateJobError(job.unique_key or job.id, text_of(owners[0]["id"]))
            await self.database.run(*self._freeing([job]))
        return _raise_unsettled(job)

    def _freeing(self, jobs: Sequence[NewJob]) -> list[BoundCall]:
        """Return the calls that cancel late jobs with the unique keys of these jobs."""
        keys = sorted({job.unique_key for job in jobs if job.unique_key is not None})
        cancel = self._statements.CANCEL_LATE_OWNERS
        return [self._call(cancel, unique_keys=some) for some in json_lists(keys)] if keys else []


def _by_key(job: NewJob) -> str:
    return job.unique_key or ""


def _all_created(jobs: Sequence[NewJob]) -> list[Inserted]:
    return [tuple.__new__(Inserted, (job.id, True)) for job in jobs]  # `Inserted(...)` is a call per job


def _with_large_ones_apart(jobs: list[NewJob], database: str) -> Iterator[list[NewJob]]:
    """Yield the jobs in order, each large job alone: a statement for one job takes its params without escaping."""
    if max([len(job.params) for job in jobs]) < LONG_TEXT:
        yield jobs
        return
    for are_large, group in groupby(jobs, key=lambda job: is_large(job.params, database)):
        if are_large:
            yield from ([job] for job in group)
        else:
            yield list(group)


def _ids_in(answers: Sequence[Sequence[Row]]) -> list[str]:
    """Return the ids of the stored jobs."""
    ids: list[str] = []
    for rows in answers:
        ids += unpacked(rows) if is_packed(rows) else [str(row["id"]) for row in rows]
    return ids


def _inserted(jobs: Sequence[NewJob], created: Sequence[str], owners: Sequence[Row]) -> list[Inserted | None]:
    new = set(created)
    key_owner_of = {text_of(row["unique_key"]): text_of(row["id"]) for row in owners if row["unique_key"] is not None}
    stored = {text_of(row["id"]) for row in owners if row["unique_key"] is None}
    answers: list[Inserted | None] = []
    for job in jobs:
        if job.id in new:
            new.remove(job.id)
            answers.append(Inserted(job.id, created=True))
        elif job.unique_key is None or job.id in stored:
            answers.append(Inserted(job.id, created=False))
        else:
            owner = key_owner_of.get(job.unique_key)
            answers.append(None if owner is None else Inserted(owner, created=False))
    return answers


def _raise_unsettled(job: NewJob) -> NoReturn:
    raise DatabaseError(f"jobs with the unique key {job.unique_key!r} come and go too fast to store one; try again")
