"""Jobs whose handlers log in every way: in the event loop, in a thread, and in a process of its own."""

from __future__ import annotations

import logging
from datetime import timedelta

from server_jobs import (
    DoNotRetryError,
    Handler,
    JobContext,
    JobOptions,
    JobRegistry,
    RetryPolicy,
    create_job_registry,
    define_job,
)

from tests.cli.shop_jobs import NoteParams, NoteResult

LIBRARY = "quiet.library"

_logger = logging.getLogger(__name__)
logging.getLogger(LIBRARY).addHandler(logging.NullHandler())  # as libraries do


def talk(params: NoteParams, context: JobContext) -> NoteResult:
    """Log, and fail on demand."""
    _logger.info("by the\nmodule", extra={"customer": 7, "level": "hidden"})
    _logger.debug("for developers")
    logging.info("by the root")  # noqa: LOG015  applications do that
    logging.getLogger(LIBRARY).warning("by the library")
    context.log.info("by the context", {"rows": 3})  # noqa: PLE1205  it is no logging.Logger
    try:
        _ = vars(context)["caught"]
    except KeyError:
        _logger.exception("by an error")
    if params.text == "fail":
        raise ValueError("no good")
    if params.text == "never":
        raise DoNotRetryError("never again")
    return NoteResult(text="said")


async def in_loop(params: NoteParams, context: JobContext) -> NoteResult:
    """Log in the event loop."""
    return talk(params, context)


def in_thread(params: NoteParams, context: JobContext) -> NoteResult:
    """Log in a thread."""
    return talk(params, context)


def in_process(params: NoteParams, context: JobContext) -> NoteResult:
    """Log in a process."""
    return talk(params, context)


RETRY = RetryPolicy(initial=timedelta(milliseconds=1))
HERE = JobOptions(max_attempts=2, retry=RETRY)
ELSEWHERE = JobOptions(max_attempts=2, retry=RETRY, run_in="process")

InLoop = define_job(name="InLoop", params=NoteParams, result=NoteResult, handler=in_loop, options=HERE)
InThread = define_job(name="InThread", params=NoteParams, result=NoteResult, handler=in_thread, options=HERE)


def registry_with(in_process: Handler[NoteParams, NoteResult]) -> JobRegistry:
    """Return the jobs, with this handler for the one in a process."""
    job = define_job(name="InProcess", params=NoteParams, result=NoteResult, handler=in_process, options=ELSEWHERE)
    return create_job_registry().register(InLoop).register(InThread).register(job)


registry = registry_with(in_process)
