"""A stored job as a `TaskResult`."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import cast

from django.conf import settings
from django.tasks import Task, TaskResult, TaskResultStatus
from django.tasks.base import TaskError
from django.utils import timezone
from pydantic import BaseModel, ConfigDict, JsonValue
from server_jobs.context import JobContext
from server_jobs.contract.documents import read_params
from server_jobs.domain.history import AttemptRecord
from server_jobs.domain.interfaces import Store
from server_jobs.domain.record import JobRecord, JobStatus
from server_jobs.errors import JobFailedError

NO_WORKER = ""
"""The id in `worker_ids` for an attempt outside of a long-lived worker, such as in a test."""

_STATUSES = {
    JobStatus.PENDING: TaskResultStatus.READY,
    JobStatus.RUNNING: TaskResultStatus.RUNNING,
    JobStatus.COMPLETED: TaskResultStatus.SUCCESSFUL,
    JobStatus.FAILED: TaskResultStatus.FAILED,
    JobStatus.CANCELLED: TaskResultStatus.FAILED,
}
_RAISED = re.compile(r"^([^\W\d]\w*(?:\.[^\W\d]\w*)*)(?=: |$)", re.MULTILINE)


class TaskParams(BaseModel):
    """The call of a task without a spec: the alias of its backend, and its arguments."""

    model_config = ConfigDict(extra="forbid")

    backend: str
    args: list[JsonValue] = []
    kwargs: dict[str, JsonValue] = {}


class TaskValue(BaseModel):
    """The return value of a task without a spec."""

    model_config = ConfigDict(extra="forbid")

    value: JsonValue


@dataclass(frozen=True, slots=True)
class StoredTask:
    """A stored job, and its attempts that failed, oldest first. The job keeps the newest 100."""

    record: JobRecord
    failures: Sequence[AttemptRecord]

    @classmethod
    async def read(cls, store: Store, job_id: str) -> StoredTask | None:
        """Read a job with one query, or with two after a failed attempt. Return None if there is none."""
        record = await store.get(job_id)
        if record is None:
            return None
        last_is_stored_in_row = record.status in (JobStatus.RUNNING, JobStatus.COMPLETED)
        count = record.attempt_count - last_is_stored_in_row
        attempts = await store.attempts(job_id) if count > 0 else ()
        return cls(record, [attempt for attempt in attempts if attempt.outcome.is_failure][-count:])

    def as_result(self, task: Task, alias: str) -> TaskResult:
        """Return the result of a task of the backend with this alias."""
        record, failures = self.record, self.failures
        args, kwargs = call_of(record)
        last = record.worker_started_at or (failures[-1].started_at if failures else None)
        result = TaskResult(
            task=_as_enqueued(task, record, alias),
            id=record.id,
            status=_STATUSES[record.status],
            enqueued_at=local_time(record.created_at),
            started_at=local_time(failures[0].started_at if failures else last),
            finished_at=local_time(record.completed_at),
            last_attempted_at=local_time(last),
            args=args,
            kwargs=kwargs,
            backend=alias,
            errors=list(self._errors()),
            worker_ids=self._worker_ids(),
        )
        if record.status is JobStatus.COMPLETED and record.result is not None:
            set_result(result, _return_value=return_value_of(record.job_name, record.result))
        return result

    def _errors(self) -> list[TaskError]:
        record = self.record
        found = [
            TaskError(exception_class_path=_path_of(one), traceback=one.traceback or one.error or "")
            for one in self.failures
        ]
        if record.error and not found and record.status in (JobStatus.FAILED, JobStatus.CANCELLED):
            return [TaskError(exception_class_path=_JOB_FAILED, traceback=record.error)]
        return found

    def _worker_ids(self) -> list[str]:
        """Return an id for each attempt that counts."""
        ids = [one.worker_id or NO_WORKER for one in self.failures]
        missing = self.record.attempt_count - len(ids)
        return [NO_WORKER] * (missing - 1) + ids + [self.record.worker_id or NO_WORKER] * (missing > 0)


def running_result(task: Task, context: JobContext, args: list[object], kwargs: dict[str, object]) -> TaskResult:
    """Return the result of a run that is not stored."""
    now = timezone.now()
    return TaskResult(
        task=task,
        id=context.idempotency_key,
        status=TaskResultStatus.RUNNING,
        enqueued_at=now,
        started_at=now,
        finished_at=None,
        last_attempted_at=now,
        args=args,
        kwargs=kwargs,
        backend=task.backend,
        errors=[],
        worker_ids=[NO_WORKER] * context.attempt,
    )


def set_result(result: TaskResult, **values: object) -> None:
    """Set fields of a result, which is read-only for its users."""
    for name, value in values.items():
        object.__setattr__(result, name, value)


def call_of(record: JobRecord) -> tuple[list[JsonValue], dict[str, JsonValue]]:
    """Return the arguments of a stored task. The params of a spec are keyword arguments."""
    if not is_task(record.job_name):
        return [], json.loads(record.params)
    params = task_params(record)
    return params.args, params.kwargs


def task_params(record: JobRecord) -> TaskParams:
    """Return the params of a stored task without a spec, read as a worker reads them. Raises `InvalidParamsError`."""
    return cast("TaskParams", read_params(record.job_name, TaskParams, record.params))


def return_value_of(job_name: str, text: str) -> object:
    """Return the value of a task from the result of its job (JSON text)."""
    result = json.loads(text)
    return result["value"] if is_task(job_name) else result


def path_of(function: Callable[..., object]) -> str:
    """Return the import path of a task, which has the name of its function."""
    return f"{function.__module__}.{function.__qualname__}"


def is_task(job_name: str) -> bool:
    """Whether this is the import path of a task without a spec. All other names of jobs are identifiers."""
    return "." in job_name


def class_path_of(error: BaseException) -> str:
    """Return the import path of the class of an exception."""
    return f"{type(error).__module__}.{type(error).__qualname__}"


def local_time(moment: datetime | None) -> datetime | None:
    """Return a time as Django has it: naive without `USE_TZ`."""
    return moment if moment is None or settings.USE_TZ else timezone.make_naive(moment)


_JOB_FAILED = f"{JobFailedError.__module__}.{JobFailedError.__qualname__}"


def _path_of(attempt: AttemptRecord) -> str:
    """Return the import path of the exception of an attempt, from the last lines of its traceback.

    `TaskError.exception_class` imports it, and the message of an exception may contain any path. So return the path
    only if that exception is imported already, and otherwise the path of `JobFailedError`.
    """
    name = attempt.error_class or ""
    raised = [path for path in _RAISED.findall(attempt.traceback or "") if path.rpartition(".")[2] == name]
    return next((path for path in (*reversed(raised), f"builtins.{name}") if _is_exception(path)), _JOB_FAILED)


def _is_exception(path: str) -> bool:
    """Whether a module that is imported already has an exception under this path."""
    module, _, name = path.rpartition(".")
    found: object = getattr(sys.modules.get(module), "__dict__", {}).get(name)
    return isinstance(found, type) and issubclass(found, BaseException)


def _as_enqueued(task: Task, record: JobRecord, alias: str) -> Task:
    """Return a copy of the task with the options of the stored job.

    Does not validate it: the queues of the backend may have changed since.
    """
    due = record.scheduled_for
    stored = {
        "backend": alias,
        "queue_name": record.queue,
        "priority": record.priority,
        "run_after": local_time(due) if due > record.created_at else None,
    }
    copy: Task = object.__new__(type(task))
    for field in fields(task):
        object.__setattr__(copy, field.name, stored.get(field.name, getattr(task, field.name)))
    return copy
