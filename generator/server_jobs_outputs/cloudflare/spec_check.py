"""The check of jobs whose options a Worker cannot follow."""

from __future__ import annotations

from collections.abc import Iterator

from server_jobs.domain.options import BUILT_IN_PLACES
from server_jobs_cloudflare.command_line.settings import has_tenants
from server_jobs_generator.problems.problem import SpecProblem, shown
from server_jobs_generator.problems.rules import OPTION_VALUE
from server_jobs_generator.spec_checks import CheckedSpecs, SpecCheck


def _problems(specs: CheckedSpecs) -> Iterator[SpecProblem]:
    yield from _jobs_elsewhere(specs)
    if has_tenants(specs.project):
        yield from _schedules_of_tenants(specs)


def _jobs_elsewhere(specs: CheckedSpecs) -> Iterator[SpecProblem]:
    """Yield a problem for each job in the place of a plug-in."""
    for job in specs.jobs:
        if (place := job.options.run_in) not in BUILT_IN_PLACES:
            message = (
                f"a Cloudflare Worker has no place {shown(place)}, which only workers open; remove "
                '"cloudflare" from `outputs` in [tool.server-jobs], or use another runIn'
            )
            yield specs.problem(job, "/x-job/runIn", OPTION_VALUE, message)


def _schedules_of_tenants(specs: CheckedSpecs) -> Iterator[SpecProblem]:
    """Yield a problem for each job with `shardBy` and schedules: each tenant's store has all schedules of the project,
    and the params of such a schedule would name one tenant in all stores."""
    for job in specs.jobs:
        if job.schedules and job.options.shard_by is not None:
            message = (
                f"{job.class_name} has shardBy and schedules, and with store = 'durable-objects' each tenant runs all "
                "schedules; schedule a job without shardBy, which runs for the tenant that it is stored for"
            )
            yield specs.problem(job, "/x-job/schedules", OPTION_VALUE, message)


CLOUDFLARE = SpecCheck(check=_problems, output="cloudflare")
