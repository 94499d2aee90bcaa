"""Run a job without a worker, for a caller that waits."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from pydantic import BaseModel

from ..binding import Binding, handler_without_backend, hooks_without_backend
from ..context import JobContext
from ..contract.documents import WrittenResult, read_result, write_result
from ..contract.masking import masking
from ..contract.upcasts import Versions
from ..definition import AnyDefinition
from ..domain import lifecycle
from ..domain.clock import Clock, SystemClock
from ..domain.option_kinds import check_longer_than_zero
from ..domain.outcomes import Cancel, Snooze
from ..domain.record import Claim, ClaimRequest, JobRecord, JobStatus, NewJob, Outcome
from ..domain.tracebacks import Mask, unmasked
from ..errors import JobNotFoundError, JobUnavailableError, ServerJobsError, StaleClaimError
from ..middleware import Middleware, RunningAttempt, enqueuing, read_headers
from ..registry import known_jobs
from ..resources import NO_RESOURCES, OpenLifespans
from ..result import JobMetadata
from .attempts.error_text import describe
from .attempts.places import PASSED_ON, HandlerCall, call_of

if TYPE_CHECKING:
    from ..isolation.process_pool import HandlerProcesses
    from .execution import Execution


class DirectRuns:
    """Runs jobs in this process for a caller that waits, with the handlers and the lifespans of a backend."""

    def __init__(self, execution: Execution) -> None:
        self._execution = execution

    async def run_new(self, job: AnyDefinition, new: NewJob, worker_timeout: timedelta) -> JobRecord:
        """Store a job as running, run it here, and settle it."""
        execution = self._execution
        await self._prepare(job, worker_timeout)
        claimed = execution.clock.monotonic()
        with enqueuing(execution.backend.hooks.middleware, (new,)) as (stored,):
            (claim,) = await execution.runner.claim(_listed(execution.store.start(stored, worker_timeout)))
        return await self._run(job, claim, claimed, worker_timeout)

    async def run_stored(self, job: AnyDefinition, job_id: str, worker_timeout: timedelta) -> JobRecord:
        """Claim a stored job, run it here, and settle it. Raises `JobUnavailableError`."""
        execution = self._execution
        await self._prepare(job, worker_timeout)
        versions = execution.registry.versions_of(job)
        request = ClaimRequest(known=known_jobs(versions), limit=1, lease=worker_timeout)
        claimed = execution.clock.monotonic()
        claims = await execution.runner.claim(_listed(execution.store.claim_one(job_id, request)))
        if not claims:
            raise _unavailable_reason(versions, job_id, await execution.store.get(job_id))
        return await self._run(job, claims[0], claimed, worker_timeout)

    async def run_unstored(
        self, job: AnyDefinition, params: BaseModel, correlation_id: str | None
    ) -> tuple[JobMetadata, BaseModel | None]:
        """Run the job here and store nothing."""
        execution = self._execution
        handler, factory = execution.registry.handler_of(job), execution.attempt_factory
        await execution.open_resources()
        context = JobContext(
            job_name=job.job_name,
            correlation_id=correlation_id,
            database=execution.config.database,
            resources=factory.resources,
        )
        return await _run_unstored(
            call_of(job, handler, context),
            job,
            params,
            execution.binding,
            factory.processes_for(job),
            execution.clock,
            execution.backend.hooks.middleware,
            correlation_id,
        )

    async def _prepare(self, job: AnyDefinition, worker_timeout: timedelta) -> None:
        check_longer_than_zero("worker_timeout", worker_timeout)
        self._execution.registry.handler_of(job)
        await self._execution.prepare()

    async def _run(self, job: AnyDefinition, claim: Claim, claimed: float, lease: timedelta) -> JobRecord:
        execution = self._execution
        attempt = execution.attempt_factory.attempt_of(job, claim, execution.store, claimed, lease)
        outcome, _ = await execution.runner.run(attempt, execution.binding)
        record = await execution.store.get(claim.id)
        if outcome is Outcome.LOST or record is None:
            raise StaleClaimError(claim.id)
        return record


async def run_unbound(
    job: AnyDefinition, params: BaseModel, correlation_id: str | None
) -> tuple[JobMetadata, BaseModel | None]:
    """Run a job without a backend, and store nothing. Open the lifespans for this run. Raises `HandlerMissingError`."""
    handler, hooks = handler_without_backend(job), hooks_without_backend(job)
    lifespans = OpenLifespans(lambda: hooks.lifespans)
    resources = await lifespans.open() if hooks.lifespans else NO_RESOURCES
    try:
        context = JobContext(job_name=job.job_name, correlation_id=correlation_id, resources=resources)
        call = call_of(job, handler, context)
        return await _run_unstored(call, job, params, None, None, SystemClock(), hooks.middleware, correlation_id)
    finally:
        await lifespans.close()


async def _listed(claiming: Awaitable[Claim | None]) -> Sequence[Claim]:
    claim = await claiming
    return [] if claim is None else [claim]


async def _run_unstored(
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


def _unavailable_reason(versions: Versions, job_id: str, record: JobRecord | None) -> ServerJobsError:
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
