"""The files of `outputs = ["kubernetes"]`: a Kustomize folder, and components for KEDA and the Prometheus Operator."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from server_jobs.errors import ProjectError
from server_jobs.project import Project
from server_jobs_generator.contracts.job_history import VersionStep
from server_jobs_generator.files.generated_file import File
from server_jobs_generator.ir.spec import JobSpec
from server_jobs_generator.python.code import Code, header

from ..templating import render
from .demand import demand
from .settings import KUBERNETES, WorkerGroup

_FILES = (
    "kustomization.yaml",
    "migrate.yaml",
    "workers.yaml",
    "keda/kustomization.yaml",
    "keda/references.conf",
    "keda/scaling.yaml",
    "prometheus/kustomization.yaml",
    "prometheus/monitoring.yaml",
)
_LONGEST_SUFFIX = 32  # a label with the group, which has at most 30 characters, has at most 63
_TIME_TO_END = 5
"""Seconds between the drain timeout and the end of the grace period; a worker ends within one."""


@dataclass(frozen=True, slots=True)
class _Database:
    """A database of the project: the name of its TriggerAuthentication, and the variable with its URL.

    `name` is its name in the project, None if there is only one. `suffix` ends the names of its objects.
    """

    login: Code
    variable: Code
    name: str | None = None
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class _Group:
    """The values of the templates for one group of workers of one database."""

    name: Code
    login: Code
    database: Code | None
    labels: Code
    queues: Code | None
    concurrency: Code
    drain: Code
    grace: Code
    least: Code
    most: Code
    wait: Code
    query: Code
    starts_pods: bool


def kubernetes_files(
    project: Project, jobs: Sequence[JobSpec], steps: Mapping[str, Sequence[VersionStep]]
) -> list[File]:
    """Return the manifests; none without jobs. `steps` are the steps between versions of each job with several.

    Raises `ProjectError` if no group of workers serves the queue of a job, or the name of the project fits no object.
    """
    settings = KUBERNETES.of(project)
    _check_queues(settings.groups, jobs)
    if not jobs:
        return []
    name = settings.name or _name(project)
    databases = _databases(project, name)
    groups = [
        _group(project, name, group, database, jobs, steps) for group in settings.groups for database in databases
    ]
    values: dict[str, object] = {
        "header": header(),
        "name": Code(name),
        "image": Code(settings.image or name),
        "databases": databases,
        "worker_labels": _labels(name, "worker"),
        "migrate_labels": _labels(name, "migrate"),
        "starts_pods": any(group.starts_pods for group in groups),
        "groups": groups,
    }
    return [
        File(f"{project.output}/kubernetes/{path}", render(f"kubernetes/{path}.jinja", **values)) for path in _FILES
    ]


def _databases(project: Project, name: str) -> list[_Database]:
    if not project.databases:
        return [_Database(Code(name), Code(project.url_variable))]
    suffixes = {database: f"-{database.replace('_', '-')}" for database in project.databases}
    longest = max(map(len, suffixes.values()))
    if len({*suffixes.values()}) < len(suffixes) or longest > _LONGEST_SUFFIX:
        raise ProjectError(
            f"for manifests, names of databases must have at most {_LONGEST_SUFFIX - 1} characters, and differ by more "
            f"than - and _, unlike {', '.join(suffixes)}"
        )
    return [
        _Database(Code(f"{name}{suffixes[database]}"), Code(variable), database, suffixes[database])
        for database, variable in project.databases.items()
    ]


def _group(
    project: Project,
    name: str,
    group: WorkerGroup,
    database: _Database,
    jobs: Sequence[JobSpec],
    steps: Mapping[str, Sequence[VersionStep]],
) -> _Group:
    return _Group(
        name=Code(f"{group.name}{database.suffix}"),
        login=database.login,
        # A JSON string is a YAML string as well.
        database=None if database.name is None else Code(json.dumps(f"--database={database.name}")),
        labels=_labels(name, "worker", {"server-jobs/group": f"{group.name}{database.suffix}"}),
        queues=Code(json.dumps(f"--queues={','.join(group.queues)}")) if group.queues else None,
        concurrency=Code(group.concurrency),
        drain=Code(group.drain_seconds),
        grace=Code(group.drain_seconds + _TIME_TO_END),
        least=Code(group.min_replicas),
        most=Code(group.max_replicas),
        wait=Code(group.wait_seconds),
        query=Code(textwrap.indent(demand(group, jobs, steps, project.schema), " " * 10).rstrip()),
        starts_pods=any(
            job.options.run_in == "kubernetes" and (not group.queues or job.options.queue in group.queues)
            for job in jobs
        ),
    )


def _labels(name: str, component: str, more: Mapping[str, str] = MappingProxyType({})) -> Code:
    labels = {"app.kubernetes.io/name": name, "app.kubernetes.io/component": component, **more}
    return Code(f"{{{', '.join(f'{key}: {value}' for key, value in labels.items())}}}")


def _check_queues(groups: Sequence[WorkerGroup], jobs: Sequence[JobSpec]) -> None:
    if any(not group.queues for group in groups):
        return
    served = {queue for group in groups for queue in group.queues}
    for job in jobs:
        if job.options.queue not in served:
            raise ProjectError(
                f"[tool.server-jobs.kubernetes.groups] has no group for the queue {job.options.queue!r} of "
                f"{job.class_name}; add it to `queues` of a group, or add a group without `queues`, which serves all"
            )


def _name(project: Project) -> str:
    """Return the name of the project as objects of Kubernetes spell it."""
    name = re.sub(r"[._]+", "-", project.name.lower()) or "server-jobs"
    if not re.fullmatch(r"[a-z](?:[a-z0-9-]{0,28}[a-z0-9])?", name):
        raise ProjectError(
            f"the name {project.name!r} of the project fits no object of Kubernetes; set `name` under "
            "[tool.server-jobs.kubernetes] to 1 to 30 characters of a-z, 0-9 and -, such as 'mailer'"
        )
    return name
