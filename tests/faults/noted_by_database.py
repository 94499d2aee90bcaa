"""Jobs whose param names their database, and whose handler notes each run in a file."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

from pydantic import BaseModel
from server_jobs import JobContext, JobOptions, RetryPolicy, create_job_registry, define_job

VARIABLES = {"eu": "EU_FAULTS_DATABASE_URL", "us": "US_FAULTS_DATABASE_URL"}


class Errand(BaseModel):
    """Where the job is stored, where its runs are noted, and how long each takes."""

    database: str
    notes: Path
    seconds: float = 0.03


async def run_errand(params: Errand, context: JobContext) -> None:
    """Note the run, and wait."""
    with params.notes.open("a", encoding="utf-8") as notes:
        notes.write(f"{context.job_id}\n")
    await asyncio.sleep(params.seconds)


RunErrand = define_job(
    name="RunErrand",
    params=Errand,
    result=type(None),
    handler=run_errand,
    options=JobOptions(shard_by="/database", max_attempts=12, retry=RetryPolicy(initial=timedelta(0), jitter=0)),
)
registry = create_job_registry(databases=VARIABLES, database_of=str).register(RunErrand)
