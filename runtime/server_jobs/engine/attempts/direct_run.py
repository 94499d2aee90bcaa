"""Run a job without a worker: without a row, from a row that the caller names, or for a worker that claimed it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import BaseModel

from ...binding import Binding
from ...contract.documents import WrittenResult, read_result, write_result
from ...contract.masking import masking
from ...contract.upcasts import Versions
from ...definition import AnyDefinition
from ...domain import lifecycle
from ...domain.clock import Clock
from ...domain.outcomes import Cancel, Snooze
from ...domain.record import Claim, JobRecord, JobStatus, LeaseAnswer
from ...domain.tracebacks import Mask, unmasked
from ...errors import JobNotFoundError, JobUnavailableError, ServerJobsError
from ...middleware import Middleware, RunningAttempt, read_headers
from ...result import JobMetadata
from .attempt import Attempt, Stop
from .error_text import describe
from .handler_call import PASSED_ON, HandlerCall

if TYPE_CHECKING:
    from ...isolation.pods import ClaimName
    from ...isolation.process_pool import HandlerProcesses
    from ..backend import Backend


async def run_unstored(
    call: HandlerCall,
    job: AnyDefinition,
    params: BaseModel,
    backend: Binding | None,
    processes: HandlerProcesses | None,
    clock: Clock,
    middleware: Sequence[Middleware] = (),
    correlation_id: str | None = None,
) -> tuple[JobMetadata, BaseModel | None]:
    """Call the handler once and store nothing. Return the outcome, and the result if it completed."""
    began = clock.now()
    mask = call.context.mask = masking(_text_of(params), job.options.redact) if job.options.redact else unmasked
    running = _running(job, correlation_id, mask) if middleware else None
    value, error, status = None, None, JobStatus.COMPLETED
    try:
        outcome: object
        if processes is not None:
            text = _text_of(params)
            outcome = await call.wait_for(processes.run(job, call.handler, text, call.context, running))
        elif running is not None:
            outcome = await call.run_within(middleware, running, backend, params)
        else:
            outcome = await call.run(backend, params)
        match outcome:
            case WrittenResult():
                value = read_result(job.job_name, job.result_model, outcome)
            case Snooze(delay=delay):
                status, error = JobStatus.FAILED, f"snoozed by its handler for {delay}, and nothing is stored"
            case Cancel(reason=reason):
                status, error = JobStatus.CANCELLED, mask(str(reason))
            case _:
                value, _ = write_result(job.job_name, job.result_model, outcome)
    except PASSED_ON:
        raise
    except BaseException as raised:  # noqa: BLE001  any other exception is the outcome
        status, error = JobStatus.FAILED, describe(raised, mask)
    metadata = JobMetadata(
        job_id=None,
        job_name=job.job_name,
        status=status,
        attempt_count=1,
        enqueued_at=began,
        started_at=began,
        completed_at=clock.now(),
        error=error,
    )
    return metadata, value


async def take_over(backend: Backend, name: ClaimName) -> Attempt | None:
    """Renew the lease of a claim that a worker made, and return its attempt for `runner.run`.

    Return None, and change nothing, if another claim is newer or the job is finished.
    """
    await backend.initialize()
    await backend.open_resources()
    record = await backend.store.get(name.job_id)
    if record is None or record.fencing_token is None or not name.is_newest(record):
        return None
    claim = Claim(
        id=record.id,
        job_name=record.job_name,
        spec_version=record.spec_version,
        params=record.params,
        attempt=record.attempt_count,
        max_attempts=record.max_attempts,
        correlation_id=record.correlation_id,
        token=record.fencing_token,
        headers=record.headers,
        batch_id=record.batch_id,
        queue=record.queue,
    )
    lease, claimed = backend.config.lock_timeout, backend.clock.monotonic()
    job = backend.registry.find(claim.job_name).job
    attempt = backend.attempt_factory.attempt_of(job, claim, backend.store, claimed, lease)
    (answer,) = await backend.store.renew([attempt.heartbeat()], lease, [])
    if answer is LeaseAnswer.LOST:
        return None
    if answer is LeaseAnswer.CANCEL_REQUESTED:
        attempt.stop(Stop.CANCELLED)
    return attempt


def _text_of(params: BaseModel) -> str:
    return params.model_dump_json(by_alias=True, warnings=False)


def _running(job: AnyDefinition, correlation_id: str | None, mask: Mask) -> RunningAttempt:
    return RunningAttempt(
        job_name=job.job_name,
        job_id=None,
        attempt=1,
        max_attempts=1,
        queue=job.options.queue,
        correlation_id=correlation_id,
        headers=read_headers(None),
        mask=mask,
    )


def unavailable_reason(versions: Versions, job_id: str, record: JobRecord | None) -> ServerJobsError:
    """Return the reason why the stored job cannot be claimed here."""
    job = versions.job
    if record is None:
        return JobNotFoundError(job_id)
    if record.job_name != job.job_name:
        return JobUnavailableError(job_id, f"it is a job of {record.job_name}, not of {job.job_name}")
    if record.spec_version not in versions.readable:
        why = versions.unknown_reason(record.spec_version)
        return JobUnavailableError(job_id, f"it is of version {record.spec_version}; {why}")
    if record.status is JobStatus.PENDING and record.start_before is not None:
        return JobUnavailableError(job_id, lifecycle.expiry_reason(record))
    return JobUnavailableError(job_id, f"it is {record.status}, and only a pending job can be claimed")
