"""A job that runs in a process. A variable of the environment removes the limit of connections to the metrics."""

from __future__ import annotations

import os

from server_jobs import JobContext, JobOptions, create_job_registry, define_job
from server_jobs_cli.worker import metrics_server

from tests.cli.shop_jobs import NoteParams, NoteResult

SABOTAGE = "TESTS_WITHOUT_A_LIMIT_OF_CONNECTIONS"

if SABOTAGE in os.environ:
    metrics_server._MOST_CONNECTIONS = 1_000_000
    metrics_server._SECONDS_FOR_HEAD = 600.0


def spell(params: NoteParams, context: JobContext) -> NoteResult:
    """Return the text in capitals."""
    return NoteResult(text=params.text.upper())


registry = create_job_registry().register(
    define_job(
        name="Spell",
        params=NoteParams,
        result=NoteResult,
        handler=spell,
        options=JobOptions(max_attempts=1, run_in="process"),
    )
)
