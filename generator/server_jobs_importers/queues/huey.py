"""Jobs from Huey tasks: `shop.tasks`, one task, or an instance of Huey."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import wraps
from itertools import chain

from server_jobs.domain.options import Backoff

from ..found_job import Found, FoundJob, ImportSourceError, LeftOut, joined
from ..modules import ModuleTarget, import_target
from .cron_text import Slots
from .task_reader import Function, TaskReader, Theirs, found_jobs, is_a, one_job, rest, seconds

_HUEY = "huey.api.Huey"
_TASK = "huey.api.TaskWrapper"
_READ = frozenset(
    {
        *("default_retries", "default_retry_delay", "default_retry_backoff", "default_priority", "default_expires"),
        *("default_timeout", "context", "execute", "validate_datetime"),
    }
)
_HOOKS = ("pre_execute", "post_execute", "startup", "shutdown")
_DOUBLE = 2
_LONGEST_DELAY = timedelta(days=365)


def find(targets: Sequence[str], folders: Sequence[str]) -> Found:
    """Return the jobs of Huey tasks. See `Source`."""
    return joined(_found(import_target(target, folders)) for target in targets)


def _found(target: ModuleTarget) -> Found:
    tasks = _tasks(target)
    hueys = {id(huey): huey for _, huey in tasks}
    hooks = (rest(target.place, _hooks(huey), {}) for huey in hueys.values())
    return found_jobs((_job(*one) for one in tasks), chain.from_iterable(hooks))


def _hooks(huey: Theirs) -> Mapping[str, Theirs]:
    """Return the functions that run beside tasks, by the decorators that registered them."""
    found = {f"{name} {hook}": function for name in _HOOKS for hook, function in getattr(huey, f"_{name}", {}).items()}
    receivers = getattr(getattr(huey, "_signal", None), "receivers", {})
    return found | {f"signal {one.__name__}": one for each in receivers.values() for one in each}


def _tasks(target: ModuleTarget) -> Sequence[tuple[Theirs, Theirs]]:
    """Return the class of each task, with its Huey."""
    value: Theirs = target.value
    if is_a(value, _HUEY):
        return [(task, value) for task in value._registry._registry.values()]
    candidates: list[Theirs] = target.objects
    tasks = {one.task_class: one.huey for one in candidates if is_a(one, _TASK)}
    if not tasks:
        raise ImportSourceError(f"{target.place} has no Huey task; name a module, a task or a Huey with tasks")
    return list(tasks.items())


@one_job
def _job(task: Theirs, huey: Theirs) -> FoundJob | LeftOut:
    function = inspect.getclosurevars(task.execute).nonlocals["func"]
    reader = TaskReader(_without_task(function) if task.context else function)
    retries = task.default_retries
    reader.attempts(retries + 1, f"retries={retries}")
    if retries:
        _read_delays(task, reader)
    if task.default_priority is not None:
        reader.priority(task.default_priority, f"priority={task.default_priority}")
    expires = task.default_expires
    if isinstance(expires, int | float | timedelta):
        reader.carry(f"expires={expires}", expires_after=seconds(expires))
    elif expires is not None:
        reader.leave_out(f"expires={expires}", "a spec has no date", "pass expires_after in the calls")
    if timeout := getattr(task, "default_timeout", None):
        reader.carry(f"timeout={timeout}", timeout=seconds(timeout))
    others = {name: value for name, value in vars(task).items() if name not in _READ and not name.startswith("__")}
    reader.rest({name: value for name, value in others.items() if value is not None})
    if task.context:
        reader.leave_out("context=True", "a handler has a context instead", "read the context, the second argument")
    if hasattr(task, "validate_datetime"):
        _read_schedule(task, reader, is_utc=huey.utc)
    return reader.job(task.__name__)


def _read_delays(task: Theirs, reader: TaskReader) -> None:
    delay = timedelta(seconds=task.default_retry_delay)
    factor = getattr(task, "default_retry_backoff", 0)
    if factor == _DOUBLE:
        reader.backoff(Backoff.EXPONENTIAL, delay, _LONGEST_DELAY, jitter=0)
        return
    reader.fixed_delay(delay)
    if factor:
        why = "a delay doubles, grows by equal steps or stays the same"
        reader.leave_out(f"retry_backoff={factor}", why, "choose a backoff in the spec")


def _read_schedule(task: Theirs, reader: TaskReader, *, is_utc: bool) -> None:
    validate = inspect.getclosurevars(task.validate_datetime).nonlocals.get("validate_datetime")
    settings = inspect.getclosurevars(validate).nonlocals.get("cron_settings") if inspect.isfunction(validate) else None
    if settings is None:
        why = "its times come from code, not from crontab()"
        reader.leave_out("periodic_task", why, "add a schedule to the spec")
        return
    months, days, weekdays, hours, minutes = settings
    slots = Slots(
        minutes=minutes, hours=hours, days=days, months=months, weekdays={weekday % 7 for weekday in weekdays}
    )
    if slots.cron is None:
        why = "Huey fires if day and day_of_week both match, cron if one of them does"
        reader.leave_out("periodic_task", why, "add a schedule to the spec")
        return
    reader.schedule("main", slots.cron, "UTC")
    if not is_utc:
        reader.leave_out(
            "periodic_task", "Huey reads it in local time, and the spec has UTC", "set timezone in the spec"
        )


def _without_task(function: Function) -> Function:
    """Return a function without the parameter `task`, which Huey fills in."""
    signature = inspect.signature(function)
    parameters = [one for one in signature.parameters.values() if one.name != "task"]

    @wraps(function)
    def job(*args: object, **kwargs: object) -> object:
        return function(*args, **kwargs)

    vars(job)["__signature__"] = signature.replace(parameters=parameters)
    return job
