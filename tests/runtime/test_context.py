"""The context of a handler: its values and calls."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest
from server_jobs import InvalidOptionError, JobContext, create_job_context
from server_jobs.contract.values import MAX_MESSAGE_CHARACTERS

from tests.runtime.example_jobs import Text, echo


@pytest.mark.parametrize(
    ("given", "kept"), [(0, 0), (41.9, 41), (100, 100), (-3, 0), (250, 100), (float("inf"), 100), (float("-inf"), 0)]
)
def test_progress_is_clamped_to_a_whole_percentage(given: float, kept: int) -> None:
    context = create_job_context()
    context.update_progress(given)
    assert context.progress == kept


def test_progress_that_is_no_number_is_refused() -> None:
    with pytest.raises(InvalidOptionError, match="progress of Send must be a number from 0 to 100, not NaN"):
        create_job_context(job_name="Send").update_progress(float("nan"))


def test_the_newest_message_counts_and_can_be_stored() -> None:
    context = create_job_context()
    context.update_progress(1, "half\0way \ud800 " + "x" * 2 * MAX_MESSAGE_CHARACTERS)
    assert context.progress_message is not None
    assert context.progress_message.startswith("half␀way ? x")
    assert len(context.progress_message) == MAX_MESSAGE_CHARACTERS
    context.update_progress(2)
    assert context.progress_message is None


def test_a_test_gives_a_slot() -> None:
    assert create_job_context().slot is None
    given = datetime(2026, 3, 1, 9, tzinfo=ZoneInfo("Europe/Berlin"))
    assert str(create_job_context(slot=given).slot) == "2026-03-01 08:00:00+00:00"
    with pytest.raises(InvalidOptionError, match="slot must have a time zone, and 2026-03-01T09:00:00 has none"):
        create_job_context(slot=given.replace(tzinfo=None))


async def test_awaiting_progress_gives_other_tasks_a_turn() -> None:
    context = create_job_context()
    order: list[str] = []

    async def other() -> None:
        order.append("other")

    task = asyncio.create_task(other())
    context.update_progress(10)
    order.append("plain call")
    await context.update_progress(20)
    order.append("awaited call")
    await task
    assert order == ["plain call", "other", "awaited call"]


def test_the_idempotency_key_is_the_id_of_the_job() -> None:
    assert create_job_context(job_id="j1", attempt=1).idempotency_key == "j1"
    assert create_job_context(job_id="j1", attempt=2).idempotency_key == "j1"


def test_a_run_that_is_not_stored_has_its_own_idempotency_key() -> None:
    assert create_job_context().idempotency_key != create_job_context().idempotency_key


@pytest.mark.parametrize(
    ("method", "level"), [("info", "INFO"), ("warn", "WARNING"), ("warning", "WARNING"), ("error", "ERROR")]
)
def test_log_lines_carry_the_job_they_belong_to(method: str, level: str, caplog: pytest.LogCaptureFixture) -> None:
    context = create_job_context(job_name="Send", job_id="j1", attempt=2, correlation_id="request-7")
    with caplog.at_level(logging.INFO, "server_jobs.job"):
        getattr(context.log, method)("sent %s", {"to": "a"})
        getattr(context.log, method)("done 100%")
    first, second = caplog.records
    assert (first.levelname, first.getMessage()) == (level, "Send: sent %s {'to': 'a'}")
    assert second.getMessage() == "Send: done 100%"
    extras = SimpleNamespace(**vars(first))
    assert (extras.job_id, extras.job_name, extras.attempt, extras.correlation_id) == ("j1", "Send", 2, "request-7")
    assert extras.data == {"to": "a"}


async def test_a_handler_can_be_called_by_hand() -> None:
    database = object()
    context = create_job_context(job_name="Echo", database=database)
    assert await echo(Text(text="hello"), context) == Text(text="hello")
    assert isinstance(context, JobContext)
    assert (context.database, context.jobs, context.job_id, context.attempt) == (database, None, None, 1)
    assert context.cancelled is False
