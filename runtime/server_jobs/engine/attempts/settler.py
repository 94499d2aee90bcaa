"""Store outcomes in batches, and count them. Outcomes that arrive during a write form the next batch."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextvars import Context
from datetime import timedelta
from typing import Literal

from ...domain.clock import Clock
from ...domain.interfaces import JobStore, StatisticsStore
from ...domain.record import Claim, Completed, Failed, JobStatus, Released, Settlement
from ...domain.record.reports import Counts, JobCounts
from ...errors import DatabaseError, RowLockedError, ServerJobsError, ValueTooLargeError

_logger = logging.getLogger("server_jobs")

_FIRST_PAUSE = 0.1
_LOCKED_PAUSE = 0.5
_LONGEST_PAUSE = 2.0
_FEW, _MANY = 4, 250  # outcomes
_RELEASE_PAUSES = (0.02, 0.1, 0.2)
_LONGEST_RELEASE = timedelta(seconds=5)
_NO_ANSWER = "the database did not answer in time"
_REFUSALS = 3  # of one outcome, while renewals of its lease succeed

Stored = Callable[[JobStatus | None, BaseException | None], None]
Kind = Literal["completed", "failed", "retried"]
Key = tuple[str, str, Kind]


class _Waiting:
    """An outcome to store, the monotonic end of its lease, and the callback for the result."""

    _last_deadline = float("inf")
    _refusals = 0
    _is_replaced = False

    def __init__(self, settlement: Settlement, deadline: Callable[[], float], stored: Stored) -> None:
        self.settlement = settlement
        self.deadline = deadline
        self.stored = stored

    def is_hopeless(self, error: DatabaseError) -> bool:
        """Decide whether to drop an outcome that the database rejected on its own.

        An outcome that is too large, or rejected repeatedly while its lease can be renewed, becomes a failure with that
        error. If the database rejects the failure too, drop it.
        """
        deadline, refused = self.deadline(), self.settlement
        self._refusals += deadline > self._last_deadline  # the lease was renewed since then
        self._last_deadline = deadline
        is_release = isinstance(refused, Released) and refused.delay is None  # a release is no outcome
        is_for_good = isinstance(error, ValueTooLargeError)
        if not is_for_good and (self._refusals < _REFUSALS or is_release):
            return False
        what = f"result of {len(refused.result):,} characters" if isinstance(refused, Completed) else "outcome"
        reason = f"its {what} could not be stored: {error}"
        _logger.error("job %s: %s", refused.id, reason)
        if self._is_replaced:
            return True
        self.settlement = Failed(id=refused.id, token=refused.token, error=reason, retry_after=None)
        self._is_replaced, self._refusals = True, 0
        return False


class Settler:
    """Write settlements in batches.

    While the database is away, retry with growing pauses until the lease of the claim has expired. Another worker may
    have the job then, so the outcome is dropped.

    If the database rejects a result repeatedly while the lease can be renewed, the job fails with the error of the
    database. A result that is too large fails the job at once.
    """

    def __init__(self, store: JobStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._waiting: list[_Waiting] = []
        self._task: asyncio.Task[None] | None = None
        self._pause = 0.0
        self._size: int | None = None
        self._aside: set[asyncio.Task[None]] = set()

    @property
    def is_failing(self) -> bool:
        """True if the last write failed; nothing should start then."""
        return self._pause > 0

    def put(self, settlement: Settlement, *, deadline: Callable[[], float], stored: Stored) -> None:
        """Write this outcome soon. Call `stored` with the new status of the job, or None if the claim was lost.

        Exceptions of the store other than `DatabaseError` go to `stored` as well.
        """
        self._waiting.append(_Waiting(settlement, deadline, stored))
        if self._task is None or self._task.done():
            self._begin()

    def _begin(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._write_all(), context=Context())

    async def _write_all(self) -> None:
        while True:
            await self._clock.sleep(self._pause)  # zero: one turn of the loop, so that others can join the batch
            await self._gather()
            if not self._waiting:
                self._pause, self._size = 0.0, None  # also after a drop
                return
            size = self._size or len(self._waiting)
            batch, self._waiting = self._waiting[:size], self._waiting[size:]
            await self._write(batch)

    async def _gather(self) -> None:
        """Wait while each turn of the loop brings a few outcomes more: one write costs as much as a hundred of them."""
        before = 0
        while before + _FEW <= len(self._waiting) < _MANY:
            before = len(self._waiting)
            await self._clock.sleep(0)

    async def _write(self, batch: list[_Waiting]) -> None:
        try:
            statuses = await self._store.settle([waiting.settlement for waiting in batch])
            answers = list(zip(batch, statuses, strict=True))
        except ValueTooLargeError as error:
            self._note_too_large(batch, error)
        except RowLockedError as error:
            self._note_locked(batch, error)
        except DatabaseError as error:
            self._note_failure(batch, error)
        except Exception as error:  # noqa: BLE001  passed to the callback
            if len(batch) > 1:
                self._waiting[:0], self._size = batch, 1
            else:
                _tell_all(batch, error)
        except BaseException as error:
            _tell_all(batch, error)
            raise
        else:
            self._note_success()
            for waiting, status in answers:
                waiting.stored(status, None)

    def _note_success(self) -> None:
        if self._pause:
            _logger.warning("outcomes are being stored again")
            self._pause = 0.0
        if self._size is not None:
            self._size = self._size * 2 if self._size < len(self._waiting) else None

    def _note_too_large(self, batch: list[_Waiting], error: ValueTooLargeError) -> None:
        """Write each outcome alone from now on; the one that is too large becomes a failure."""
        if len(batch) == 1 and batch[0].is_hopeless(error):
            batch[0].stored(None, error)
        else:
            self._waiting[:0], self._size = batch, 1

    def _note_locked(self, batch: list[_Waiting], error: RowLockedError) -> None:
        """Find the row that another transaction locks, and delay its outcome only."""
        if len(batch) > 1:
            self._waiting[:0], self._size = batch, 1
            return
        _logger.warning("the outcome of job %s waits: %s", batch[0].settlement.id, error)
        task = asyncio.get_running_loop().create_task(self._write_when_unlocked(batch[0]), context=Context())
        self._aside.add(task)
        task.add_done_callback(self._aside.discard)

    async def _write_when_unlocked(self, waiting: _Waiting) -> None:
        while True:
            await self._clock.sleep(_LOCKED_PAUSE)
            if self._clock.monotonic() >= waiting.deadline():
                self._drop(waiting)
                return
            try:
                (status,) = await self._store.settle([waiting.settlement])
            except RowLockedError:
                continue
            except DatabaseError:
                self._waiting.append(waiting)
                if self._task is None or self._task.done():
                    self._begin()
            except Exception as error:  # noqa: BLE001  passed to the callback
                waiting.stored(None, error)
            else:
                waiting.stored(status, None)
            return

    def _drop(self, waiting: _Waiting) -> None:
        _logger.error("the outcome of job %s was dropped: its lease expired first", waiting.settlement.id)
        waiting.stored(None, None)

    def _note_failure(self, batch: list[_Waiting], error: DatabaseError) -> None:
        if not self._pause:
            _logger.error("outcomes cannot be stored, trying again: %s", error)
        self._pause = min(_LONGEST_PAUSE, max(_FIRST_PAUSE, self._pause * 2))
        self._size = 1  # one by one, so that one bad row does not block the rest
        if len(batch) == 1 and batch[0].is_hopeless(error):
            batch[0].stored(None, error)
            return
        now = self._clock.monotonic()
        for waiting in batch:
            if now < waiting.deadline():
                self._waiting.append(waiting)
            else:
                self._drop(waiting)


def _tell_all(batch: list[_Waiting], error: BaseException) -> None:
    for waiting in batch:
        waiting.stored(None, error)


async def release(store: JobStore, claims: Sequence[Claim]) -> None:
    """Release these claims. If the database stays away, or does not answer for a while, log that their leases expire.

    Raises only if the caller is cancelled.
    """
    if not claims:
        return
    try:
        async with asyncio.timeout(_LONGEST_RELEASE.total_seconds()):
            await _settle_released(store, [Released(id=claim.id, token=claim.token) for claim in claims])
    except TimeoutError:
        _log_unreleased(claims, _NO_ANSWER)
    except Exception as error:  # noqa: BLE001  no error may keep a process from its end
        _log_unreleased(claims, error if isinstance(error, ServerJobsError) else repr(error))
    except asyncio.CancelledError:
        _log_unreleased(claims, _NO_ANSWER)
        raise


async def _settle_released(store: JobStore, released: Sequence[Released]) -> None:
    for pause in _RELEASE_PAUSES:
        try:
            await store.settle(released)
        except DatabaseError:
            await asyncio.sleep(pause)
        else:
            return
    await store.settle(released)


def _log_unreleased(claims: Sequence[Claim], reason: object) -> None:
    for claim in claims:
        _logger.error(
            "%s %s could not be released and waits until its lease expires: %s", claim.job_name, claim.id, reason
        )


class OutcomeCounts:
    """Counts outcomes by queue and job name. Costs one addition per attempt, and one write every few seconds."""

    def __init__(self) -> None:
        self._counts: Counter[Key] = Counter()
        self._stored: Counter[Key] = Counter()

    def totals(self) -> Mapping[Key, int]:
        """The outcomes since the start of this process, by queue, job name and kind. Any thread may call this."""
        return dict(self._counts)

    def note(self, queue: str, job_name: str, settlement: Settlement, status: JobStatus | None) -> None:
        """Count a stored outcome. Ignore a lost claim, a cancellation and a release."""
        if status is JobStatus.COMPLETED:
            self._counts[queue, job_name, "completed"] += 1
        elif isinstance(settlement, Failed):
            self.note_failure(queue, job_name, status)

    def note_failure(self, queue: str, job_name: str, status: JobStatus | None) -> None:
        """Count a failed attempt that left the job in this status."""
        if status is JobStatus.FAILED:
            self._counts[queue, job_name, "failed"] += 1
        elif status is JobStatus.PENDING:
            self._counts[queue, job_name, "retried"] += 1

    async def store(self, store: StatisticsStore) -> None:
        """Add the new counts to the store. If that fails, keep them for the next time."""
        new = self._counts - self._stored
        self._stored.update(new)
        try:
            await store.add_counts(_by_job(new))
        except BaseException:
            self._stored.subtract(new)
            raise


def _by_job(counts: Counter[Key]) -> Sequence[JobCounts]:
    jobs = sorted({(queue, job_name) for queue, job_name, _ in counts})
    return [
        JobCounts(
            queue,
            job_name,
            Counts(
                counts[queue, job_name, "completed"],
                counts[queue, job_name, "failed"],
                counts[queue, job_name, "retried"],
            ),
        )
        for queue, job_name in jobs
    ]
