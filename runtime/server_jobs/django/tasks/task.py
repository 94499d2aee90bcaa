"""Tasks: their import, the job of those without a spec, and `@task(job="SendEmail")` for those with one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import cast

from django.tasks import DEFAULT_TASK_BACKEND_ALIAS, DEFAULT_TASK_QUEUE_NAME, Task, task_backends
from django.tasks.base import DEFAULT_TASK_PRIORITY
from django.tasks.exceptions import InvalidTask, InvalidTaskBackend
from django.utils.module_loading import import_string
from pydantic import BaseModel

from ...context import JobContext
from ...definition import Handler
from ...domain.options import JobOptions
from ...errors import ServerJobsError
from ...job import define_job
from ...registry import JobRegistry
from ..backend import DjangoBackend
from ..project import TASK_JOB, jobs_registry
from .calls import call_task
from .results import TaskParams, TaskValue

TaskFunction = Callable[..., object]


class UnknownTaskError(ServerJobsError):
    """The task of a stored job cannot be found."""

    def __init__(self, path: str, reason: object) -> None:
        super().__init__(
            f"there is no task {path}: {reason}; keep a task under its old name until its stored jobs have run"
        )


def path_of(function: TaskFunction) -> str:
    """Return the import path of a task, which has the name of its function."""
    return f"{function.__module__}.{function.__qualname__}"


def imported_task(path: str) -> Task:
    """Import a task. Raises `UnknownTaskError`."""
    try:
        found: object = import_string(path)
    except ImportError as error:
        raise UnknownTaskError(path, error) from error
    if not isinstance(found, Task):
        raise UnknownTaskError(path, f"it has the type {type(found).__name__}, and no decorator @task")
    return found


def run_task(params: TaskParams, context: JobContext) -> object:
    """Handle the job of tasks without a spec. Call a plain task here, and return the coroutine of an async one."""
    task = imported_task(params.task)
    try:
        is_ours = issubclass(task_backends[params.backend].task_class, JobsTask)
    except InvalidTaskBackend as error:
        raise UnknownTaskError(params.task, error) from error
    if not is_ours:
        raise UnknownTaskError(params.task, f"the backend {params.backend!r} of TASKS is not a JobsBackend")
    return call_task(DjangoTask, task, list(params.args), dict(params.kwargs), context, params.backend)


DjangoTask = define_job(
    name=TASK_JOB,
    params=TaskParams,
    result=TaskValue,
    handler=cast("Handler[TaskParams, TaskValue]", run_task),
    options=JobOptions(max_attempts=1),
)


def register_tasks(registry: JobRegistry) -> None:
    """Let the registry run tasks without a spec. Does nothing if it can."""
    if not registry.has(TASK_JOB):
        registry.register(DjangoTask)
        DjangoTask.bind(DjangoBackend(registry))


class SpecHandler:
    """A handler that calls a task function with the params of the spec as keyword arguments."""

    def __init__(self, function: TaskFunction) -> None:
        self.function = function
        # A handler process imports it by this path.
        self.__module__, self.__qualname__ = function.__module__, f"{function.__qualname__}.handler"

    def __call__(self, params: BaseModel, context: JobContext) -> object:
        """Call a plain task here, and return the coroutine of an async one."""
        task = imported_task(path_of(self.function))
        kwargs = params.model_dump(mode="json", by_alias=True, exclude_unset=True)
        return call_task(jobs_registry().find(task.job).job, task, [], kwargs, context, task.backend)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobsTask(Task):
    """A task of `JobsBackend`. With `job`, the name of a spec, it enqueues jobs of that spec.

    The function is called with the params of the spec as keyword arguments.
    """

    job: str | None = None

    @property
    def handler(self) -> SpecHandler:
        """The handler for the spec, which calls the task function.

        Assign it in the handler module of the spec: `handle = send_email.handler`. Raises `InvalidTask` without `job`.
        """
        if self.job is None:
            raise InvalidTask(f"{self.name} has no spec and needs no handler; name a spec with @task(job=...)")
        return _handler_of(self.func)


@cache
def _handler_of(function: TaskFunction) -> SpecHandler:
    """Return always the same handler, so that a handler process finds it by its path."""
    return SpecHandler(function)


def task(
    function: TaskFunction | None = None,
    *,
    job: str | None = None,
    priority: int = DEFAULT_TASK_PRIORITY,
    queue_name: str = DEFAULT_TASK_QUEUE_NAME,
    backend: str = DEFAULT_TASK_BACKEND_ALIAS,
    takes_context: bool = False,
) -> Task | Callable[[TaskFunction], Task]:
    """Like `django.tasks.task` of Django 6.1, which passes `job` to the task. In Django 6.0, use this function."""

    def decorated(function: TaskFunction) -> Task:
        return task_backends[backend].task_class(
            func=function,
            priority=priority,
            queue_name=queue_name,
            backend=backend,
            takes_context=takes_context,
            run_after=None,
            job=job,
        )

    return decorated if function is None else decorated(function)
