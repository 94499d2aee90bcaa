"""Outcomes on their way to the store: whatever finishes while one write is under way goes together in the next."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from .clock import Clock
from .errors import DatabaseError
from .ports import JobStore
from .record import JobStatus, Settlement

_logger = logging.getLogger("server_jobs")

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0


@dataclass(frozen=True, slots=True)
class _Waiting:
    settlement: Settlement
    deadline: float
    answer: asyncio.Future[JobStatus | None]


class Settler:
    """Writes settlements in batches. When the database is away it tries again, with growing pauses, until the lease of
    a claim has surely run out: then another worker may have the job, and the outcome is dropped."""

    def __init__(self, store: JobStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._waiting: list[_Waiting] = []
        self._task: asyncio.Task[None] | None = None

    async def settle(self, settlement: Settlement, *, deadline: float) -> JobStatus | None:
        """The status the job has now; None when the claim was lost. `deadline` is on the monotonic clock."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[JobStatus | None] = loop.create_future()
        self._waiting.append(_Waiting(settlement, deadline, answer))
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._write_all())
        return await answer

    async def _write_all(self) -> None:
        pause = 0.0
        size: int | None = None
        while self._waiting:
            await self._clock.sleep(pause)  # zero: one turn of the loop, in which others may join this batch
            batch, self._waiting = self._waiting[:size], self._waiting[size:] if size else []
            try:
                statuses = await self._store.settle([waiting.settlement for waiting in batch])
            except DatabaseError as error:
                if not pause:
                    _logger.error("outcomes cannot be stored, trying again: %s", error)  # noqa: TRY400  one line, no trace
                pause = min(_LONGEST_PAUSE, max(_FIRST_PAUSE, pause * 2))
                size = 1  # from here on one by one: an outcome that is refused for good must not keep others back
                self._keep_live(batch)
            except Exception as error:  # noqa: BLE001  carried to those who wait
                _answer_all(batch, error)
            except BaseException as error:
                _answer_all(batch, error)
                raise
            else:
                if pause:
                    _logger.warning("outcomes are being stored again")
                pause = 0.0
                for waiting, status in zip(batch, statuses, strict=True):
                    _answer(waiting, status)

    def _keep_live(self, batch: list[_Waiting]) -> None:
        now = self._clock.monotonic()
        for waiting in batch:
            if now < waiting.deadline:
                self._waiting.append(waiting)
            else:
                _logger.error("the outcome of job %s was dropped: its lease ran out first", waiting.settlement.id)
                _answer(waiting, None)


def _answer(waiting: _Waiting, status: JobStatus | None) -> None:
    if not waiting.answer.done():
        waiting.answer.set_result(status)


def _answer_all(batch: list[_Waiting], error: BaseException) -> None:
    for waiting in batch:
        if not waiting.answer.done():
            waiting.answer.set_exception(error)
