"""Take over a claim that a worker made: in its pod, or in another worker after the pod crashed."""

from __future__ import annotations

from server_jobs.domain.record import Claim, LeaseAnswer
from server_jobs.engine.attempts.attempt import Attempt, Stop
from server_jobs.engine.execution import Execution

from .claims import ClaimName


async def take_over(execution: Execution, name: ClaimName) -> Attempt | None:
    """Renew the lease of a claim that a worker made, and return its attempt for `execution.run`.

    Return None, and change nothing, if another claim is newer or the job is finished.
    """
    await execution.prepare()
    record = await execution.store.get(name.job_id)
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
    lease, claimed = execution.config.lease, execution.clock.monotonic()
    job = execution.registry.find(claim.job_name).job
    attempt = execution.attempt_factory.attempt_of(job, claim, execution.store, claimed, lease)
    (answer,) = await execution.store.renew([attempt.heartbeat()], lease, [])
    if answer is LeaseAnswer.LOST:
        return None
    if answer is LeaseAnswer.CANCEL_REQUESTED:
        attempt.stop(Stop.CANCELLED)
    return attempt
