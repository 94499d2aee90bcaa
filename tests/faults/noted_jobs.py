"""Jobs for the command `server-jobs worker`, a registry for each way to a database. Handlers note when they start."""

from __future__ import annotations

import os
import time
from pathlib import Path

from pydantic import BaseModel
from server_jobs import JobContext, create_job_registry, define_job

NOTES = "NOTES_OF_JOBS"
"""The environment variable with the path of the notes."""


class Nothing(BaseModel):
    """Params and result."""


def note(_params: Nothing, context: JobContext) -> Nothing:
    """Write a line with the time and the job, in one piece."""
    file = os.open(os.environ[NOTES], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{time.monotonic()} {context.job_id}\n".encode())
    os.close(file)
    return Nothing()


def starts() -> dict[str, list[float]]:
    """Return the times at which each job started."""
    found: dict[str, list[float]] = {}
    for line in Path(os.environ[NOTES]).read_text(encoding="utf-8").splitlines():
        moment, job_id = line.split()
        found.setdefault(job_id, []).append(float(moment))
    return found


Direct = define_job(name="Direct", params=Nothing, result=Nothing, handler=note)
Pooled = define_job(name="Pooled", params=Nothing, result=Nothing, handler=note)

direct = create_job_registry().register(Direct)
pooled = create_job_registry().register(Pooled)
