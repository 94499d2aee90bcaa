"""The jobs of the application, for RQ."""

import os

import exports
from redis import Redis
from rq import Retry, get_current_job
from rq.decorators import job
from rq.job import Job

redis = Redis.from_url(os.environ.get("REDIS_URL", "redis://localhost:6379/0"))


def report_failure(job: Job, *_: object) -> None:
    """Called by RQ after each failed attempt."""
    exports.report_failure(job.kwargs["customer"])


@job(
    "exports",
    connection=redis,
    timeout=60,
    result_ttl=86400,
    retry=Retry(max=3, interval=1),
    on_failure=report_failure,
)
def export_orders(customer: str, rows: int) -> str:
    """Export the orders of a customer, and return the name of the file."""
    job = get_current_job()
    for percent in exports.write_orders(customer, rows):
        job.meta["percent"] = percent
        job.save_meta()
    return f"{customer}.csv"


def remind(customer: str) -> None:
    """Remind a customer of an export that is ready."""
    exports.mail_reminder(customer)


def clean_up(days: int = 30) -> None:
    """Delete old exports."""
    exports.delete_files(days)
