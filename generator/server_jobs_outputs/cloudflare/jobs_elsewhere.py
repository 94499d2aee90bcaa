"""Jobs whose place a Cloudflare Worker does not have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from server_jobs.domain.options import BUILT_IN_PLACES
from server_jobs.project import Project

from server_jobs_generator.ir.spec import JobSpec
from server_jobs_generator.problems.problem import SpecProblem, shown
from server_jobs_generator.problems.rules import OPTION_VALUE


def jobs_elsewhere(project: Project, jobs: Sequence[JobSpec]) -> Iterator[SpecProblem]:
    """Yield a problem for each job in the place of a plug-in, in a project with a Worker."""
    for job in jobs if project.worker else ():
        if (place := job.options.run_in) not in BUILT_IN_PLACES:
            message = (
                f"a Cloudflare Worker has no place {shown(place)}, which only workers open; set "
                '"worker = false" in [tool.server-jobs], or use another runIn'
            )
            yield SpecProblem(job.path, 1, 1, "/x-job/runIn", message, OPTION_VALUE.id)
