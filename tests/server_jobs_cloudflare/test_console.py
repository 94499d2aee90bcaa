"""The log of a Worker: its loggers, levels and JSON."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from pydantic import BaseModel
from server_jobs import JobContext, JobOptions, create_job_registry, define_job
from server_jobs_cloudflare import CloudflareWorkerBackend
from server_jobs_cloudflare.console import ConsoleHandler, log_to_console

from tests.conformance.d1_binding import FakeD1
from tests.conformance.stores import create_d1_file


class Note(BaseModel):
    text: str


async def _shout(params: Note, context: JobContext) -> Note:
    if not params.text:
        raise ValueError("nothing to shout")
    context.log.warning("loud\n", data={"letters": len(params.text)})
    return Note(text=params.text.upper())


Shout = define_job(name="Shout", params=Note, result=Note, handler=_shout, options=JobOptions(max_attempts=1))


@contextmanager
def unconfigured_log() -> Iterator[logging.Logger]:
    """Yield the logger of jobs and engine without any configuration, as in a Worker."""
    logger = logging.getLogger("server_jobs")
    level, handlers, propagate = logger.level, logger.handlers[:], logger.propagate
    logger.handlers, logger.propagate = [], False
    try:
        yield logger
    finally:
        logger.setLevel(level)
        logger.handlers, logger.propagate = handlers, propagate


async def run_jobs(folder: Path) -> None:
    create_d1_file(folder / "jobs.sqlite3")
    registry = create_job_registry().register(Shout)
    with closing(FakeD1(folder / "jobs.sqlite3")) as binding:
        backend = CloudflareWorkerBackend(database=binding, job_registry=registry)
        await Shout.using(backend).later({"text": "a"}, correlation_id="order-1")
        await Shout.using(backend).later({"text": ""}, correlation_id="order-2")
        await backend.handle_cron()


async def test_each_job_is_logged_with_its_ids(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with unconfigured_log():
        log_to_console()
        await run_jobs(tmp_path)

    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    told = {(line.get("correlation_id"), line.get("event")) for line in lines if line["logger"] == "server_jobs.worker"}
    assert told == {
        *(("order-1", event) for event in ("started", "completed")),
        ("order-2", "started"),
    }
    (loud,) = [line for line in lines if line["message"].startswith("Shout: loud")]
    assert loud["correlation_id"] == "order-1"
    assert loud["data"] == {"letters": 1}
    assert loud["level"] == "warning"
    (failed,) = [line for line in lines if line.get("event") == "failed"]
    assert "nothing to shout" in failed["error"]
    assert (failed["logger"], failed["correlation_id"]) == ("server_jobs.attempts", "order-2")
    assert "nothing to shout" in failed["traceback"]


async def test_without_the_console_a_worker_logs_nothing_of_its_jobs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with unconfigured_log():
        await run_jobs(tmp_path)
    assert "started" not in capsys.readouterr().err


def test_a_log_that_the_application_handles_is_left_alone() -> None:
    with unconfigured_log() as logger:
        handler = logging.NullHandler()
        logger.addHandler(handler)
        log_to_console()
        assert logger.handlers == [handler]


def test_a_record_that_cannot_be_written_is_no_error_of_the_job(capsys: pytest.CaptureFixture[str]) -> None:
    with unconfigured_log() as logger:
        logger.addHandler(ConsoleHandler())
        logger.error("%d", "no number")
    assert "--- Logging error ---" in capsys.readouterr().err
