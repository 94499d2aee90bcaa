"""The query with which KEDA scales a group of workers on PostgreSQL: how many jobs ask for a slot of a worker.

It counts running jobs, and jobs that a worker could start now. Jobs of paused queues, future jobs, jobs that a limit
blocks, expired jobs, and jobs of versions that this release cannot read start no pod. A due schedule counts as a job,
because only a worker makes its job.

Each part of the query reads a partial index in its order, up to a limit. So finished jobs cost nothing, and the plan
does not depend on statistics.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence

from server_jobs.domain.options import RateLimit
from server_jobs.stores.sql.dialect import statements_of
from server_jobs_generator.contracts.job_history import VersionStep
from server_jobs_generator.ir.spec import JobSpec
from server_jobs_generator.python.code import Code

from ..templating import render
from .settings import WorkerGroup

_TABLE = re.compile(r"\bFROM (jobs|cron_jobs|job_starts|paused_queues)\b")


def demand(
    group: WorkerGroup, jobs: Sequence[JobSpec], steps: Mapping[str, Sequence[VersionStep]], schema: str | None
) -> str:
    """Return the query of a group of workers. `jobs` are all jobs of the project.

    A job that has been due for longer than `wait_seconds` counts more: after twice that time it counts twice, and at
    most like all slots of a pod. Counting stops at the jobs that fill `max_replicas`.
    """
    startable = statements_of("postgresql").fragments["startable"]
    scheduled = [job.class_name for job in jobs if not group.queues or job.options.queue in group.queues]
    query = render(
        "kubernetes/keda/demand.sql.jinja",
        known=[row for job in jobs for row in _known(job, steps.get(job.class_name, ()))],
        startable=Code(textwrap.dedent(f"{' ' * 9}{startable}").replace("\n", "\n     ").format(now="now()")),
        of_queues=Code(f" AND queue IN ({_texts(group.queues)})" if group.queues else ""),
        of_schedules=Code(_texts(scheduled) or "NULL"),
        most=Code(group.max_replicas * group.concurrency),
        slots=Code(group.concurrency),
        wait=Code(group.wait_seconds),
    )
    return _TABLE.sub(rf'FROM "{schema}".\1', query) if schema else query


def _known(job: JobSpec, steps: Sequence[VersionStep]) -> Iterator[Code]:
    """Yield a row for each version of a job that this release can read."""
    concurrency, rate = job.options.concurrency, job.options.rate
    limits = f"{concurrency.limit if concurrency else 'NULL'}, {_rate(rate)}"
    for version in (*(step.before.version for step in steps), job.options.version):
        yield Code(f"({_texts([job.class_name])}, {version}, {limits})")


def _rate(rate: RateLimit | None) -> str:
    return f"{rate.limit}, interval '{rate.per.total_seconds()} seconds'" if rate else "NULL, NULL"


def _texts(values: Sequence[str]) -> str:
    """Return the literals of texts: names of jobs, and printable names of queues."""
    return ", ".join("'" + value.replace("'", "''") + "'" for value in values)
