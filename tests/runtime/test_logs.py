"""The ids of a job on log records, and the records that an application prints itself."""

from __future__ import annotations

import asyncio
import io
import logging
import sys
from collections.abc import Iterator

import pytest
from rich.console import Console
from rich.logging import RichHandler
from server_jobs import JobContext, JobLogFilter
from server_jobs.logs import is_printed

from tests.runtime.example_jobs import Text, backend_on, text_job

LOGGER = logging.getLogger("some.application.module")


class Kept(logging.Handler):
    """A handler of an application, with the filter."""

    def __init__(self) -> None:
        super().__init__()
        self.addFilter(JobLogFilter())
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def ids(self) -> list[tuple[object, ...]]:
        return [(each.job_name, each.job_id, each.attempt, each.correlation_id) for each in map(Ids, self.records)]


class Ids:
    """The fields that the filter adds."""

    def __init__(self, record: logging.LogRecord) -> None:
        fields = vars(record)
        self.job_name, self.job_id = fields["job_name"], fields["job_id"]
        self.attempt, self.correlation_id = fields["attempt"], fields["correlation_id"]


@pytest.fixture
def kept() -> Iterator[Kept]:
    handler = Kept()
    LOGGER.addHandler(handler)
    yield handler
    LOGGER.removeHandler(handler)


async def in_loop(params: Text, context: JobContext) -> Text:
    LOGGER.warning("in the loop")
    await asyncio.to_thread(LOGGER.warning, "in a thread of its own")
    await asyncio.create_task(asyncio.to_thread(LOGGER.warning, "in a task of its own"))
    return params


def in_thread(params: Text, context: JobContext) -> Text:
    LOGGER.warning("in a thread")
    return params


@pytest.mark.parametrize(("handler", "records"), [(in_loop, 3), (in_thread, 1)])
async def test_records_have_the_ids_of_the_running_job(handler: object, records: int, kept: Kept) -> None:
    job = text_job(in_loop if handler is in_loop else in_thread)
    backend = backend_on(None, job)
    LOGGER.warning("before")
    job_id = await job.later({"text": "x"}, correlation_id="order-17")
    await backend.execute((await backend.poll_and_claim()).claimed_jobs[0])
    LOGGER.warning("after")
    nothing = (None, None, None, None)
    assert kept.ids() == [nothing, *[("Echo", job_id, 1, "order-17")] * records, nothing]


async def test_extras_of_the_application_stay(kept: Kept) -> None:
    async def handler(params: Text, context: JobContext) -> Text:
        LOGGER.warning("of another job", extra={"job_id": 17})
        return params

    await text_job(handler).now({"text": "x"}, persist=False)
    assert kept.ids() == [("Echo", 17, 1, None)]


def record(level: int = logging.INFO, name: str = LOGGER.name) -> logging.LogRecord:
    return logging.makeLogRecord({"name": name, "levelno": level})


@pytest.mark.parametrize(
    ("handler", "expected"),
    [
        (logging.StreamHandler(sys.__stderr__), True),
        (logging.StreamHandler(sys.__stdout__), True),
        (RichHandler(console=Console(file=sys.__stderr__)), True),
        (logging.StreamHandler(io.StringIO()), False),
        (logging.NullHandler(), False),
        (Kept(), False),
    ],
)
def test_a_record_is_printed_if_a_handler_below_the_root_prints_it(handler: logging.Handler, expected: bool) -> None:
    parent = logging.getLogger("some.application")
    parent.addHandler(handler)
    try:
        assert is_printed(record()) is expected
        assert not is_printed(record(name="some.other"))
        handler.setLevel(logging.ERROR)
        assert not is_printed(record())
        assert is_printed(record(logging.ERROR)) is expected
    finally:
        parent.removeHandler(handler)


def test_a_handler_of_the_root_does_not_count() -> None:
    handler = logging.StreamHandler(sys.__stderr__)
    logging.root.addHandler(handler)
    try:
        assert not is_printed(record())
    finally:
        logging.root.removeHandler(handler)
