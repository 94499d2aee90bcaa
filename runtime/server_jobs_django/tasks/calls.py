"""The call of a task function by a worker, with the signals of Django around it."""

from __future__ import annotations

import json
from collections.abc import Awaitable
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import cast

from asgiref.sync import sync_to_async
from django.dispatch import Signal
from django.tasks import Task, TaskContext, TaskResult, TaskResultStatus
from django.tasks.base import TaskError
from django.tasks.signals import task_finished, task_started
from django.utils import timezone
from django.utils.json import normalize_json
from server_jobs.context import JobContext
from server_jobs.contract.documents import write_result
from server_jobs.contract.masking import masking
from server_jobs.definition import AnyDefinition
from server_jobs.domain.outcomes import Cancel, DoNotRetryError, Snooze
from server_jobs.domain.tracebacks import short_traceback
from server_jobs.engine.attempts.places import PASSED_ON

from .results import StoredTask, class_path_of, is_task, return_value_of, running_result, set_result


def call_task(
    job: AnyDefinition, task: Task, args: list[object], kwargs: dict[str, object], context: JobContext, alias: str
) -> object:
    """Call a task function with signals around it, and return the result of its job, or a coroutine of it."""
    stored = None
    if (job_id := context.job_id) is not None:
        backend = job.current_backend()
        stored = backend.run_blocking(lambda: StoredTask.read(backend.store, job_id))
    if stored is None:
        result = running_result(task, context, args, kwargs)
        return _Call(job, task, context, result, args, kwargs, is_last=True).run()
    is_last = context.attempt >= stored.record.max_attempts
    return _Call(job, task, context, stored.as_result(task, alias), args, kwargs, is_last).run()


@dataclass(frozen=True, slots=True)
class _Call:
    """One call of a task function. `is_last`: a failure of it is final."""

    job: AnyDefinition
    task: Task
    context: JobContext
    result: TaskResult
    args: list[object]
    kwargs: dict[str, object]
    is_last: bool

    def run(self) -> object:
        """Call a plain function and return the result of its job. Return a coroutine of it for an async function."""
        self._send(task_started)
        if iscoroutinefunction(self.task.func):
            return self._awaited()
        try:
            value = self._written(self._called())
        except PASSED_ON:
            raise
        except BaseException as error:  # noqa: BLE001  raised below
            failure = error
        else:
            return self._succeeded(*value)
        raise self._failed(failure)

    async def _awaited(self) -> object:
        try:
            value = self._written(await cast("Awaitable[object]", self._called()))
        except PASSED_ON:
            raise
        except BaseException as error:  # noqa: BLE001  raised below
            failure = error
        else:
            return await sync_to_async(self._succeeded)(*value)
        raise await sync_to_async(self._failed)(failure)

    def _called(self) -> object:
        first = [TaskContext(task_result=self.result)] if self.task.takes_context else []
        return self.task.func(*first, *self.args, **self.kwargs)

    def _written(self, value: object) -> tuple[object, str | None]:
        """Return the result for the engine, and its JSON text. Raises `TypeError` or `InvalidResultError`."""
        if isinstance(value, Snooze | Cancel):
            return value, None
        if is_task(self.job.job_name):
            value = {"value": normalize_json(value)}
        return write_result(self.job.job_name, self.job.result_model, value)

    def _succeeded(self, value: object, text: str | None) -> object:
        if text is not None:
            set_result(self.result, _return_value=return_value_of(self.job.job_name, text))
            self._finish(TaskResultStatus.SUCCESSFUL)
        return value

    def _failed(self, error: BaseException) -> BaseException:
        if self.is_last or isinstance(error, DoNotRetryError):
            mask = masking(json.dumps(self.kwargs), self.job.options.redact)
            raised = TaskError(exception_class_path=class_path_of(error), traceback=short_traceback(error, mask))
            self.result.errors.append(raised)
            self._finish(TaskResultStatus.FAILED, error)
        return error

    def _finish(self, status: TaskResultStatus, error: BaseException | None = None) -> None:
        if self.context.cancelled:
            return  # the job has timed out, was cancelled, or is lost
        set_result(self.result, status=status, finished_at=timezone.now())
        if error is None or self.job.options.redact:
            self._send(task_finished)
            return
        trace = error.__traceback__
        try:
            raise error  # noqa: TRY301
        except BaseException:  # noqa: BLE001  Django logs the traceback of the error that is being handled
            self._send(task_finished)
        finally:
            error.__traceback__ = trace

    def _send(self, signal: Signal) -> None:
        signal.send(type(self.task.get_backend()), task_result=self.result)
