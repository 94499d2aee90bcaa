"""`JobsBackend`: tasks of Django as stored jobs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from inspect import signature
from typing import NamedTuple

from asgiref.sync import sync_to_async
from django.apps import apps
from django.core.checks import CheckMessage, Error
from django.tasks import Task, TaskResult
from django.tasks.base import DEFAULT_TASK_PRIORITY, DEFAULT_TASK_QUEUE_NAME
from django.tasks.exceptions import InvalidTask, TaskResultDoesNotExist
from django.tasks.signals import task_enqueued
from django.utils import timezone
from django.utils.json import normalize_json
from server_jobs.binding import JobBackend
from server_jobs.concurrency.blocking import wait_for
from server_jobs.definition import AnyDefinition
from server_jobs.domain.enqueue_options import EnqueueOptions
from server_jobs.domain.record import JobRecord, NewJob
from server_jobs.domain.text_limits import LONGEST_NAME, check_text
from server_jobs.errors import InvalidOptionError, InvalidParamsError, UnknownJobError
from server_jobs.job import DEFAULT_WORKER_TIMEOUT

from ..project import complete_registry, jobs_registry
from .backend_options import BackendOfJobs, TaskOptions
from .declared import (
    UnknownTaskError,
    check_declared,
    declared_task,
    job_of_task,
    spec_of,
    warn_if_unknown_to_workers,
)
from .results import StoredTask, is_task, path_of, task_params
from .task import JobsTask, SpecHandler, job_of_spec
from .task_job import TaskJob

APP = "server_jobs_django"
_LONGEST_PATH = 2 * LONGEST_NAME


class _Enqueued(NamedTuple):
    result: TaskResult
    created: bool


class JobsBackend(BackendOfJobs):
    """Stores tasks as jobs in Django's database, for `python manage.py jobs worker`.

    A task without a spec is a job with its import path as name. A `JobsTask` with `job` is a job of that spec. An
    enqueue takes part in the open transaction. Alias, queues and `TaskOptions` come from `TASKS`.
    """

    task_class = JobsTask
    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True

    def validate_task(self, task: Task) -> None:
        """Raise `InvalidTask` for a task that cannot be stored, such as one with an unknown queue or spec."""
        super().validate_task(task)
        try:
            check_text("queue_name", task.queue_name, LONGEST_NAME)
            check_text("the import path of a task", path_of(task.func), _LONGEST_PATH)
        except InvalidOptionError as error:
            raise InvalidTask(str(error)) from error
        if not all(map(str.isidentifier, path_of(task.func).split("."))):
            raise InvalidTask(f"A task needs a name, and {path_of(task.func)} has none. Define it with `def`.")
        job = spec_of(task)
        if job is not None and apps.ready and not jobs_registry().has(job):  # earlier, `enqueue` checks it
            raise InvalidTask(str(UnknownJobError(job, jobs_registry().get_names())))

    def enqueue(self, task: Task, args: Sequence[object], kwargs: dict[str, object]) -> TaskResult:
        """Store the task and return its result. If an unfinished job has the same unique key, return that one's.

        Raises `InvalidTask`, `TypeError` for arguments that are not JSON, and `InvalidParamsError` for arguments that
        do not fit the spec.
        """
        job, new = self._new_job(task, args, kwargs)
        backend, name = job.current_backend(), f"{task.name}.aenqueue(...)"
        result, created = wait_for(backend, name, lambda: self._stored(backend, task, new))
        if created:
            task_enqueued.send(type(self), task_result=result)
        if created and self._runs_now(new):
            return wait_for(backend, name, lambda: self._run(backend, job, task, new))
        return result

    async def aenqueue(self, task: Task, args: Sequence[object], kwargs: dict[str, object]) -> TaskResult:
        """Like `enqueue`, for coroutines."""
        job, new = self._new_job(task, args, kwargs)
        backend = job.current_backend()
        result, created = await self._stored(backend, task, new)
        if created:
            await sync_to_async(task_enqueued.send)(type(self), task_result=result)
        return await self._run(backend, job, task, new) if created and self._runs_now(new) else result

    def get_result(self, result_id: str) -> TaskResult:
        """Return the result of a stored task of this backend.

        Raises `TaskResultDoesNotExist` if there is none, or if the code of its task is gone.
        """
        backend = TaskJob.current_backend()
        return self._found(result_id, wait_for(backend, "aget_result(...)", lambda: _read(backend, result_id)))

    async def aget_result(self, result_id: str) -> TaskResult:
        """Like `get_result`, for coroutines."""
        return self._found(result_id, await _read(TaskJob.current_backend(), result_id))

    def check(self, **_options: object) -> Iterator[CheckMessage]:
        """Yield mistakes in `TASKS` and `INSTALLED_APPS`, for `python manage.py check`."""
        if not apps.is_installed(APP):
            yield Error(
                f"The task backend {self.alias!r} stores jobs, and {APP!r} is not in INSTALLED_APPS.",
                hint=f"Add {APP!r} to INSTALLED_APPS.",
                id="server_jobs.E008",
            )
        try:
            TaskOptions.of(self.options)
        except InvalidOptionError as error:
            yield Error(f'TASKS["{self.alias}"]["OPTIONS"]: {error}.', id="server_jobs.E009")

    def _new_job(self, task: Task, args: Sequence[object], kwargs: dict[str, object]) -> tuple[AnyDefinition, NewJob]:
        """Check a call, and return its job and the record to store."""
        self.validate_task(task)
        complete_registry()
        check_declared(task)
        due = _aware(task.run_after)
        if spec_of(task) is None:
            warn_if_unknown_to_workers(task)
            params = {"backend": self.alias, "args": normalize_json(list(args)), "kwargs": normalize_json(kwargs)}
            job = job_of_task(task)
            return job, job.of_call(task, params, self.task_options.max_attempts, due)
        options: EnqueueOptions = {"scheduled_for": due}
        definition = _definition_of(task)
        if task.priority != DEFAULT_TASK_PRIORITY:
            options["priority"] = task.priority
        new = definition.new_job(_named(task, args, kwargs), **options)
        return definition, new if task.queue_name == DEFAULT_TASK_QUEUE_NAME else new._replace(queue=task.queue_name)

    def _runs_now(self, new: NewJob) -> bool:
        due = new.scheduled_for
        return self.task_options.eager and (due is None or due <= timezone.now())

    async def _stored(self, backend: JobBackend, task: Task, new: NewJob) -> _Enqueued:
        (inserted,) = await backend.insert([new])
        return _Enqueued(await self._result(backend, task, inserted.id), inserted.created)

    async def _run(self, backend: JobBackend, job: AnyDefinition, task: Task, new: NewJob) -> TaskResult:
        async with backend.direct_runs() as runs:
            await runs.run_stored(job, new.id, DEFAULT_WORKER_TIMEOUT)
        return await self._result(backend, task, new.id)

    async def _result(self, backend: JobBackend, task: Task, job_id: str) -> TaskResult:
        stored = await _read(backend, job_id)
        if stored is None:
            raise TaskResultDoesNotExist(job_id)
        return stored.as_result(task, self.alias)

    def _found(self, result_id: str, stored: StoredTask | None) -> TaskResult:
        if stored is None:
            raise TaskResultDoesNotExist(result_id)
        return stored.as_result(self._task_of(stored.record), self.alias)

    def _task_of(self, record: JobRecord) -> Task:
        """Return the task of a stored job. Raises `TaskResultDoesNotExist` if it has none in this backend."""
        try:
            registry = complete_registry()
            if is_task(record.job_name):
                params = task_params(record)
                if params.backend != self.alias:
                    raise TaskResultDoesNotExist(f"{record.id} belongs to the task backend {params.backend!r}")
                return declared_task(record.job_name)
            handler = registry.find(record.job_name).handler
            if isinstance(handler, SpecHandler):
                return declared_task(path_of(handler.function))
        except (UnknownTaskError, UnknownJobError, InvalidParamsError) as error:
            raise TaskResultDoesNotExist(f"{record.id}: {error}") from error
        raise TaskResultDoesNotExist(f"{record.id} is a job {record.job_name}, which no task handles")


async def _read(backend: JobBackend, job_id: str) -> StoredTask | None:
    await backend.initialize()
    return await StoredTask.read(backend.store, str(job_id))


def _definition_of(task: Task) -> AnyDefinition:
    """Return the job of a task with a spec. Raises `InvalidTask` if its handler does not call the task."""
    registration = job_of_spec(task)
    handler, job = registration.handler, registration.job.job_name
    if isinstance(handler, SpecHandler) and handler.function is task.func:
        return registration.job
    raise InvalidTask(
        f"The handler of {job} does not call {path_of(task.func)}. Write these lines into the handler module of "
        f"{job}: `from {task.func.__module__} import {task.name}` and `handle = {task.name}.handler`."
    )


def _named(task: Task, args: Sequence[object], kwargs: dict[str, object]) -> dict[str, object]:
    """Return the arguments by name, as params of a spec. Raises `TypeError` like a call with these arguments."""
    names = list(signature(task.func).parameters)[int(task.takes_context) :]
    repeated = [name for name in names[: len(args)] if name in kwargs]
    if len(args) > len(names):
        raise TypeError(f"{task.name}() takes {len(names)} arguments, not {len(args)}")
    if repeated:
        raise TypeError(f"{task.name}() got multiple values for argument {repeated[0]!r}")
    return dict(zip(names, args, strict=False)) | kwargs


def _aware(moment: datetime | None) -> datetime | None:
    return timezone.make_aware(moment) if moment is not None and timezone.is_naive(moment) else moment
