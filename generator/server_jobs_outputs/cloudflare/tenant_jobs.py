"""The check of jobs in a project with one store per tenant: each store has all schedules of the project."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from server_jobs.project import Project
from server_jobs_cloudflare.command_line.settings import has_tenants
from server_jobs_generator.ir.spec import JobSpec
from server_jobs_generator.problems.problem import SpecProblem
from server_jobs_generator.problems.rules import OPTION_VALUE


def tenant_problems(project: Project, jobs: Iterable[JobSpec]) -> Iterator[SpecProblem]:
    """Yield a problem for each job with `shardBy` and schedules: its params would name one tenant in all stores."""
    if not has_tenants(project):
        return
    for job in jobs:
        if job.schedules and job.options.shard_by is not None:
            message = (
                f"{job.class_name} has shardBy and schedules, and with store = 'durable-objects' each tenant runs all "
                "schedules; schedule a job without shardBy, which runs for the tenant that it is stored for"
            )
            yield SpecProblem(job.path, 1, 1, "/x-job/schedules", message, OPTION_VALUE.id)
