"""Claim jobs, renew their leases, store their outcomes and expire leases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TypeGuard, TypeVar

from ...domain.ids import new_batch
from ...domain.interfaces import Row, Statement, Value
from ...domain.record import Claim, ClaimRequest, Completed, Expired, Heartbeat, JobStatus, LeaseAnswer, Settlement
from ...domain.record.reports import WorkerReport
from ...domain.text_limits import is_storable
from ...errors import DatabaseError
from .calls import Calls
from .parameters import (
    LONG_TEXT,
    BoundCall,
    heartbeat_row,
    is_large,
    json_objects,
    json_of,
    milliseconds,
    outcome_parameters,
    outcome_row,
    plain_results,
    request_parameters,
    worker_parameters,
)
from .rows import claims_of, is_packed, row_count, status_of, text_of, unpacked

H = TypeVar("H", bound=Heartbeat | Settlement)


class Attempts(Calls):
    async def claim(self, request: ClaimRequest) -> Sequence[Claim]:
        claims = await self._claims.make(request)
        if len(claims) > request.limit:  # the database exceeded the limit
            raise DatabaseError(f"{self.name} claimed {len(claims)} jobs where {request.limit} were asked for")
        return claims

    async def claim_one(self, job_id: str, request: ClaimRequest) -> Claim | None:
        batch = new_batch()
        if not is_storable(job_id):
            return None
        rows = await self._run(
            self._statements.CLAIM_ONE,
            id=job_id,
            **request_parameters(request),
            lease=milliseconds(request.lease),
            worker_id=request.worker_id,
            batch=batch,
        )
        return claims_of(rows, batch)[0] if rows else None

    async def renew(
        self, heartbeats: Sequence[Heartbeat], lease: timedelta, workers: Sequence[WorkerReport] = ()
    ) -> Sequence[LeaseAnswer]:
        answers = [LeaseAnswer.LOST for _ in heartbeats]
        of, lasts = self._statements, {"lease": milliseconds(lease)}
        reports = [self._call(of.REPORT_WORKER, **worker_parameters(worker), **lasts) for worker in workers]
        async for index, row in self._written(of.RENEW, heartbeats, heartbeat_row, lasts, reports):
            is_cancelled = row["cancel_requested"]
            answers[index] = (
                LeaseAnswer.BUSY
                if is_cancelled is None
                else LeaseAnswer.CANCEL_REQUESTED
                if is_cancelled
                else LeaseAnswer.RENEWED
            )
        return answers

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[JobStatus | None]:
        answers: list[JobStatus | None] = [None for _ in settlements]
        self._claims.note_settled([one.id for one in settlements])
        calls: list[BoundCall] = []
        places: list[dict[str, int]] = []
        completed = 0
        for group in _without_repeats(settlements):
            batch = [settlements[index] for index in group.values()]
            if self._statements.SETTLE_ONE is not None and (large := self._large(batch)):
                calls += [self._call(self._statements.SETTLE_ONE, **outcome_parameters(one)) for one in large.values()]
                batch = [one for one in batch if one.id not in large]
            results = plain_results(batch)
            completed += len(results)
            for text in json_objects(results) if results else ():
                calls += self._completing(text)
            if len(results) < len(batch):
                others = {one.id: outcome_row(one) for one in batch if not _is_plain(one)}
                calls += [call for text in json_objects(others) if others for call in self._ending(text)]
            places += [group] * (len(calls) - len(places))
        written = await self.database.run(*calls) if calls else ()
        if completed == len(answers) == sum(map(row_count, written)):
            return [JobStatus.COMPLETED for _ in answers]  # the common case, done fast
        for group, rows in zip(places, written, strict=True):
            for job_id, status in _settled(rows):
                answers[group[job_id]] = status
        return answers

    def _ending(self, items: str) -> Iterator[BoundCall]:
        if self._statements.RECORD_ATTEMPTS is not None and '"ended":' in items:
            yield self._call(self._statements.RECORD_ATTEMPTS, items=items)
        yield self._call(self._statements.SETTLE, items=items)

    async def expire(self, *, jitter: timedelta, except_for: Sequence[str] = ()) -> Sequence[Expired]:
        tokens, most = json_of(list(except_for)), self._dialect.most_expired
        expired: list[Expired] = []
        while calls := await self._expiring(milliseconds(jitter), tokens):
            *_, rows = await self.database.run(*calls)
            expired += [
                Expired(
                    text_of(row["id"]),
                    text_of(row["job_name"]),
                    JobStatus(text_of(row["status"])),
                    text_of(row["queue"]),
                )
                for row in rows
            ]
            if most is None or len(rows) < most:
                break
        return expired

    async def _expiring(self, jitter: int, tokens: str) -> Sequence[BoundCall]:
        """Return the calls that record and expire the leases that are over, by one time; none if no lease is over."""
        of = self._statements
        if of.RECORD_EXPIRED is None or of.ANY_OVERDUE is None:
            return [self._call(of.EXPIRE, jitter=jitter, except_for=tokens)]
        overdue = await self._run(of.ANY_OVERDUE, except_for=tokens)
        if not overdue:
            return []
        call = self._make.call_at(overdue[0]["now"])
        return [call(of.RECORD_EXPIRED, except_for=tokens), call(of.EXPIRE, jitter=jitter, except_for=tokens)]

    async def _written(
        self,
        statement: Statement,
        items: Sequence[H],
        encode: Callable[[H], dict[str, Value]],
        parameters: Mapping[str, Value],
        more: Sequence[BoundCall],
    ) -> AsyncIterator[tuple[int, Row]]:
        """Write under the fence, with `more` in the same transaction. Return the position of each written item, with
        its row.

        A statement answers by job id. Two items of one job (an old and a new claim) therefore go into two statements
        of the same transaction.
        """
        if not items and not more:
            return
        encoded = [
            (group, text)
            for group in _without_repeats(items)
            for text in json_objects({job_id: encode(items[index]) for job_id, index in group.items()})
        ]
        calls = [self._call(statement, items=text, **parameters) for _, text in encoded]
        for (group, _), rows in zip(encoded, await self.database.run(*calls, *more), strict=False):
            for row in rows:
                yield group[text_of(row["id"])], row

    def _large(self, batch: Sequence[Settlement]) -> Mapping[str, Completed]:
        """Return the completed attempts whose results need their own statement, by the id of their job."""
        long = [one for one in batch if isinstance(one, Completed) and len(one.result) >= LONG_TEXT]
        return {one.id: one for one in long if is_large(one.result, self.name)}

    def _completing(self, items: str) -> Sequence[BoundCall]:
        of = self._statements
        if self._dialect.packs_rows and of.PACKED_COMPLETABLE is not None and of.PACKED_COMPLETE is not None:
            return [self._call(of.PACKED_COMPLETABLE, items=items), self._call(of.PACKED_COMPLETE, items=items)]
        return [self._call(of.COMPLETE, items=items)]


def _settled(rows: Sequence[Row]) -> Iterator[tuple[str, JobStatus]]:
    """Yield the settled jobs with their status. Packed rows are completed jobs."""
    if is_packed(rows):
        yield from ((text_of(job_id), JobStatus.COMPLETED) for job_id in unpacked(rows))
    else:
        yield from ((text_of(row["id"]), status_of(row["status"])) for row in rows)


def _is_plain(settlement: Settlement) -> TypeGuard[Completed]:
    return isinstance(settlement, Completed) and settlement.report is None


def _without_repeats(items: Sequence[Heartbeat | Settlement]) -> list[dict[str, int]]:
    """Group the positions of items so that no group has a job twice. Usually one group."""
    places = {item.id: index for index, item in enumerate(items)}
    if len(places) == len(items):
        return [places] if places else []
    groups: list[dict[str, int]] = []
    for index, item in enumerate(items):
        group = next((group for group in groups if item.id not in group), None)
        if group is None:
            groups.append(group := {})
        group[item.id] = index
    return groups
