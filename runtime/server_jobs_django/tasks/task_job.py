"""The job of a task without a spec. Its name is the import path of the task."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar

from django.tasks import Task, task_backends
from django.tasks.exceptions import InvalidTaskBackend
from server_jobs.context import JobContext
from server_jobs.contract.documents import write_params
from server_jobs.definition import inherited_correlation_id
from server_jobs.domain.enqueue_options import in_utc
from server_jobs.domain.ids import new_job_id
from server_jobs.domain.options import JobOptions
from server_jobs.domain.outcomes import DoNotRetryError
from server_jobs.domain.record import NewJob
from server_jobs.job import Job

from .backend_options import BackendOfJobs
from .calls import call_task
from .results import TaskParams, TaskValue, path_of


class TaskJob(Job[TaskParams, TaskValue, Mapping[str, object]]):
    """The base of the jobs of tasks without a spec. Only the task itself enqueues its job."""

    job_name = spec_name = "django.tasks"
    params_model = TaskParams
    result_model = TaskValue
    enqueued_by = "task.enqueue(...)"
    task: ClassVar[Task]

    @classmethod
    def handler(cls, params: TaskParams, context: JobContext) -> object:  # type: ignore[override]  # of one class
        """Call a plain task here, and return the coroutine of an async one."""
        _check_backend(params.backend)
        return call_task(cls, cls.task, list(params.args), dict(params.kwargs), context, params.backend)

    @classmethod
    def of_call(cls, task: Task, params: Mapping[str, object], max_attempts: int, due: datetime | None) -> NewJob:
        """Return the job of a call of the task, with the options of `task`. Raises `InvalidParamsError`."""
        return NewJob(
            id=new_job_id(),
            params=write_params(cls.job_name, TaskParams, params)[1],
            job_name=cls.job_name,
            queue=task.queue_name,
            priority=task.priority,
            max_attempts=max_attempts,
            scheduled_for=None if due is None else in_utc(due),
            correlation_id=inherited_correlation_id(None),
        )


def job_of(task: Task) -> type[TaskJob]:
    """Return a job for a task."""
    path = path_of(task.func)
    members = {"job_name": path, "spec_name": path, "enqueued_by": f"{task.name}.enqueue(...)"}
    return type(path, (TaskJob,), {**members, "task": task, "options": options_of(task)})


def options_of(task: Task) -> JobOptions:
    """Return the options that the decorator of a task states."""
    return JobOptions(queue=task.queue_name, priority=task.priority, max_attempts=1)


def _check_backend(alias: str) -> None:
    """Raise `DoNotRetryError` unless a backend with this alias stores tasks as jobs. A row may name any."""
    try:
        backend = task_backends[alias]
    except InvalidTaskBackend as error:
        raise DoNotRetryError(f"TASKS has no backend {alias!r}; add it until the tasks it enqueued have run") from error
    if not isinstance(backend, BackendOfJobs):
        raise DoNotRetryError(f"the backend {alias!r} of TASKS is not a JobsBackend, so no worker runs its tasks")
