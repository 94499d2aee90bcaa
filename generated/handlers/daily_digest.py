"""`DailyDigest`: summarise what the other jobs did, and mail the summary.

Written by hand; the generator never touches it. It shows a handler that reads the store and enqueues another job.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from server_jobs import JobContext
from server_jobs.domain.interfaces import JobReader

from ..jobs.send_email import SendEmail
from ..models.daily_digest import DailyDigestParams, DailyDigestResult
from ..models.send_email import SendEmailParams
from .digest_text import body_of, subject_of
from .job_report import read_report


async def handle(params: DailyDigestParams, context: JobContext) -> DailyDigestResult:
    """Count everything stored since `hours` before the digest was due: a digest that runs late leaves no gap."""
    if context.jobs is None:
        raise RuntimeError("DailyDigest reads the stored jobs; run it with persist=True")
    since = await _due_at(context.jobs, context.job_id) - timedelta(hours=params.hours)

    report = await read_report(context.jobs, since, besides=context.job_name)
    await context.update_progress(50, f"{len(report.tallies)} kinds of jobs counted")

    # The last step, so that nothing can fail after it; should this attempt be lost all the same, the key keeps the
    # next one from queueing a second mail beside the first.
    email_job_id = await SendEmail.later(
        SendEmailParams(to=params.recipients, subject=subject_of(report), body=body_of(report)),
        unique_key=f"{context.job_name}:{context.idempotency_key}",
    )
    return DailyDigestResult(since=since, jobs=report.tallies, email_job_id=email_job_id)


async def _due_at(jobs: JobReader, job_id: str | None) -> datetime:
    record = None if job_id is None else await jobs.get(job_id)
    if record is None:
        return datetime.now(UTC)
    # A slot that fires late is due before it is stored; another attempt of a job is due after.
    return min(record.scheduled_for, record.created_at)
