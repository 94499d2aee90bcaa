"""The log of a worker: every job while there are few, else one line per second and job name."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import pytest
from server_jobs.domain.record import Claim, Outcome
from server_jobs_cli.worker.worker_log import EVENTS, FEW, WorkerLog

from tests.measuring import assert_cpu_seconds

_ids = count()


class Loop(asyncio.SelectorEventLoop):
    """An event loop whose clock the test moves."""

    offset = 0.0

    def time(self) -> float:
        return self.offset

    def pass_a_second(self) -> None:
        self.offset += 1
        self.run_until_complete(asyncio.sleep(0))


class Log:
    """A worker log in such a loop, and its records."""

    def __init__(self, loop: Loop, level: str = "INFO") -> None:
        self._loop = loop
        logging.getLogger(EVENTS).setLevel(level)
        self.log = WorkerLog()
        self.records: list[logging.LogRecord] = []

    def jobs(self, number: int, *, name: str = "Mail", outcome: Outcome = Outcome.COMPLETED) -> None:
        """Let that many jobs start and end in this second."""
        for _ in range(number):
            claim = self.start(name)
            self.end(claim, outcome)

    def start(self, name: str = "Mail") -> Claim:
        identifier = f"id{next(_ids)}"
        claim = Claim(identifier, name, 1, "{}", 1, 3, None, token=f"token of {identifier}")
        self._loop.call_soon(self.log.started, claim)
        self._loop.run_until_complete(asyncio.sleep(0))
        return claim

    def end(self, claim: Claim, outcome: Outcome = Outcome.COMPLETED) -> None:
        error = None if outcome is Outcome.COMPLETED else "why"
        self._loop.call_soon(self.log.ended, claim, outcome, error, 0.002)
        self._loop.run_until_complete(asyncio.sleep(0))

    def events(self) -> list[str]:
        """Return the events since the last call."""
        found = [str(vars(record)["event"]) for record in self.records]
        self.records.clear()
        return found


class Remembering(logging.Handler):
    def __init__(self, records: list[logging.LogRecord]) -> None:
        super().__init__()
        self._records = records

    def emit(self, record: logging.LogRecord) -> None:
        self._records.append(record)


@contextmanager
def logged(level: str = "INFO") -> Iterator[tuple[Log, Loop]]:
    logger, loop = logging.getLogger(EVENTS), Loop()
    log = Log(loop, level)
    handler = Remembering(log.records)
    logger.addHandler(handler)
    try:
        yield log, loop
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
        loop.close()


def test_while_there_are_few_jobs_each_has_its_lines() -> None:
    with logged() as (log, loop):
        for _ in range(3):
            log.jobs(FEW)
            assert log.events() == ["started", "completed"] * FEW
            loop.pass_a_second()
        assert log.events() == []


def test_above_that_a_line_per_second_and_name_sums_up_the_jobs_without_lines() -> None:
    with logged() as (log, loop):
        log.jobs(FEW + 30)
        log.jobs(7, name="Report")
        assert log.events() == ["started", "completed"] * FEW
        loop.pass_a_second()
        assert [record.getMessage() for record in log.records] == [
            "Mail: 30 completed, 2.0ms on average",
            "Report: 7 completed, 2.0ms on average",
        ]
        assert {**vars(log.records[0]), "completed": 30, "mean_seconds": 0.002} == vars(log.records[0])
        assert log.events() == ["summary"] * 2


def test_the_lines_come_back_after_a_second_with_few_jobs() -> None:
    with logged() as (log, loop):
        log.jobs(FEW + 1)
        loop.pass_a_second()
        log.events()
        log.jobs(2)
        assert log.events() == []
        loop.pass_a_second()
        assert log.events() == ["summary"]
        log.jobs(1)
        assert log.events() == ["started", "completed"]


def test_failures_are_counted_and_left_to_the_engine_and_lost_claims_always_have_a_line() -> None:
    with logged() as (log, _):
        log.jobs(FEW + 100)
        log.events()
        log.jobs(50, outcome=Outcome.FAILED)
        log.jobs(1, outcome=Outcome.LOST)
        assert log.events() == ["lost"]
        assert log.log.totals.failed == 51


def test_a_job_whose_start_has_a_line_has_one_for_its_end() -> None:
    with logged() as (log, _):
        claim = log.start()
        log.jobs(FEW + 100)
        log.events()
        log.end(claim)
        assert log.events() == ["completed"]


def test_a_long_job_that_started_among_many_has_a_line_for_its_end() -> None:
    with logged() as (log, loop):
        log.jobs(FEW)
        claim = log.start()
        for _ in range(2):
            loop.pass_a_second()
        log.events()
        log.end(claim)
        assert log.events() == ["completed"]


@pytest.mark.parametrize(
    ("level", "events"), [("DEBUG", ["started", "completed"] * 100 + ["lost"]), ("WARNING", ["lost"])]
)
def test_the_level_decides_which_jobs_have_a_line(level: str, events: list[str]) -> None:
    with logged(level) as (log, loop):
        log.jobs(100)
        loop.pass_a_second()
        claim = log.start() if level == "WARNING" else None
        if claim is None:
            log.jobs(1, outcome=Outcome.LOST)
            events = [*events[:-1], "started", "lost"]
        else:
            log.end(claim, Outcome.LOST)
        assert log.events() == events


def test_snoozed_and_cancelled_attempts_are_no_failures() -> None:
    with logged() as (log, _):
        for outcome in (Outcome.SNOOZED, Outcome.CANCELLED, Outcome.RELEASED):
            log.jobs(1, outcome=outcome)
        assert {record.levelname for record in log.records} == {"INFO"}
        log.log.finish()
        assert (
            log.records[-1].getMessage()
            == "stopped: 0 completed, 0 failed attempts, 1 cancelled, 1 snoozed, 1 released"
        )


def test_the_rest_is_summed_up_at_the_end() -> None:
    with logged() as (log, _):
        log.jobs(FEW + 5)
        log.events()
        log.log.finish()
        assert log.events() == ["summary", "worker_stopped"]


def test_a_job_costs_less_than_three_microseconds_of_the_log() -> None:
    claim = Claim("id", "Mail", 1, "{}", 1, 3, None, token="token")
    with logged() as (log, _):
        log.jobs(FEW + 1)
        costs = []
        for _ in range(5):
            began = time.process_time()
            for _ in range(10_000):
                log.log.started(claim)
                log.log.ended(claim, Outcome.COMPLETED, None, 0.001)
            costs.append((time.process_time() - began) / 10_000)
    assert_cpu_seconds(min(costs), 3e-6)
