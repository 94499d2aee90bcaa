"""Jobs whose options a Cloudflare Worker cannot follow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from server_jobs.domain.options import RunIn
from server_jobs.project import Project

from ..ir.spec import JobSpec
from ..problems.problem import SpecProblem
from ..problems.rules import OPTION_VALUE


def jobs_in_pods(project: Project, jobs: Sequence[JobSpec]) -> Iterator[SpecProblem]:
    """Yield a problem for each job with `"runIn": "kubernetes"` in a project with a Worker."""
    message = (
        'a Cloudflare Worker cannot start pods, and its database D1 is out of their reach; set "worker = false" in '
        "[tool.server-jobs], or use another runIn"
    )
    for job in jobs if project.worker else ():
        if job.options.run_in is RunIn.KUBERNETES:
            yield SpecProblem(job.path, 1, 1, "/x-job/runIn", message, OPTION_VALUE.id)
