"""`@task(job="SendEmail")`: tasks with a spec."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from django.tasks import DEFAULT_TASK_BACKEND_ALIAS, DEFAULT_TASK_QUEUE_NAME, Task, task_backends
from django.tasks.base import DEFAULT_TASK_PRIORITY
from django.tasks.exceptions import InvalidTask
from pydantic import BaseModel
from server_jobs.context import JobContext
from server_jobs.registry import Registration

from ..project import jobs_registry
from .calls import call_task
from .declared import declare, declared_task, spec_of
from .results import path_of

TaskFunction = Callable[..., object]


class SpecHandler:
    """A handler that calls a task function with the params of the spec as keyword arguments."""

    def __init__(self, function: TaskFunction) -> None:
        self.function = function
        # A handler process imports it by this path.
        self.__module__, self.__qualname__ = function.__module__, f"{function.__qualname__}.handler"

    def __call__(self, params: BaseModel, context: JobContext) -> object:
        """Call a plain task here, and return the coroutine of an async one."""
        task = declared_task(path_of(self.function))
        kwargs = params.model_dump(mode="json", by_alias=True, exclude_unset=True)
        return call_task(job_of_spec(task).job, task, [], kwargs, context, task.backend)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobsTask(Task):
    """A task of `JobsBackend`. With `job`, the name of a spec, it enqueues jobs of that spec.

    The function is called with the params of the spec as keyword arguments.
    """

    job: str | None = None

    def __post_init__(self) -> None:
        Task.__post_init__(self)  # `super()` of a class with slots needs Python 3.14
        declare(self)

    @property
    def handler(self) -> SpecHandler:
        """The handler for the spec, which calls the task function.

        Assign it in the handler module of the spec: `handle = send_email.handler`. Raises `InvalidTask` without `job`.
        """
        if self.job is None:
            raise InvalidTask(f"{self.name} has no spec and needs no handler; name a spec with @task(job=...)")
        return _handler_of(self.func)


def job_of_spec(task: Task) -> Registration:
    """Return the job of a task with a spec. Raises `InvalidTask` if task and spec state different queues.

    Callers over HTTP need a scope for the queue of the spec.
    """
    registration = jobs_registry().find(str(spec_of(task)))
    path, queue = path_of(task.func), registration.job.options.queue
    stated = declared_task(path).queue_name
    if stated not in (DEFAULT_TASK_QUEUE_NAME, queue):
        raise InvalidTask(
            f"{path} states the queue {stated!r}, and its spec {spec_of(task)} the queue {queue!r}. Remove queue_name "
            "from the decorator, and state the queue in the spec."
        )
    return registration


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
