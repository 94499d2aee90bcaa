"""Jobs from a Celery application: `shop.tasks:app`, a module with one, a package as for `celery -A`, or one task."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from importlib.util import find_spec
from weakref import ReferenceType

from server_jobs.domain.options import Backoff, RateLimit

from ..found_job import Found, FoundJob, ImportSourceError, LeftOut, joined
from ..modules import ModuleTarget, import_target
from .cron_text import Slots, interval_cron
from .task_reader import TaskReader, Theirs, found_jobs, is_a, one_job, rest, seconds, uses_name

_APP = "celery.app.base.Celery"
_TASK = "celery.app.task.Task"
_RATE = re.compile(r"(?P<number>[0-9.]+)(?:/(?P<period>[smh]))?")
_PERIODS = {None: timedelta(seconds=1), "s": timedelta(seconds=1), "m": timedelta(minutes=1), "h": timedelta(hours=1)}
_READ = frozenset(
    {
        *("name", "queue", "max_retries", "default_retry_delay", "autoretry_for", "dont_autoretry_for", "retry_kwargs"),
        *(
            "retry_backoff",
            "retry_backoff_max",
            "retry_jitter",
            "rate_limit",
            "time_limit",
            "soft_time_limit",
            "expires",
        ),
        *("priority", "ignore_result", "acks_late"),
    }
)
_READ_OF_RETRIES = frozenset({"max_retries", "countdown"})
# Celery sets them itself.
_OWN = frozenset({"run", "app", "request_stack", "abstract"})
_READ_SETTINGS = frozenset(
    {
        *("task_routes", "task_queues", "task_default_queue", "task_serializer", "task_acks_late", "task_time_limit"),
        *("task_soft_time_limit", "task_ignore_result", "task_default_rate_limit", "task_default_priority"),
        *("task_annotations", "task_cls"),
    }
)
_OF_TASKS = ("task_", "worker_")
_OF_A_WORKER = "see the options of `server-jobs worker`"
_MOVE_CODE = "move it into the handler or into middleware"
_ADVICE = {
    "serializer": "params are JSON; pass data instead of objects",
    "throws": "catch these errors in the handler, or raise DoNotRetryError",
    "track_started": "every running job is shown as running",
    "typing": "the spec checks the params",
}
_IN_THE_HANDLER = "raise RetryAfterError with this delay in the handler"
_ACKNOWLEDGED_LATE = (
    "Celery delivers a task again if its worker dies; here that is one of the attempts",
    "state maxAttempts of at least 2, and raise DoNotRetryError after an error",
)
_NO_SOFT_LIMIT = ("a timeout does not raise SoftTimeLimitExceeded", "check context.cancelled in plain handlers")


def find(targets: Sequence[str], folders: Sequence[str]) -> Found:
    """Return the jobs of Celery tasks. See `Source`."""
    return joined(_found(import_target(target, folders), folders) for target in targets)


def _found(target: ModuleTarget, folders: Sequence[str]) -> Found:
    if is_a(target.value, _TASK):
        task: Theirs = target.value
        return found_jobs([_job(task, _short(task.name), _entries(task.app))], _differences(task.app, target.place))
    apps = {id(app): app for app in target.objects if is_a(app, _APP)}
    if not apps:
        inner = f"{target.place}.celery"  # the next choice of `celery -A shop`
        if target.attribute is None and hasattr(target.module, "__path__") and find_spec(inner) is not None:
            return _found(import_target(inner, folders), folders)
        raise ImportSourceError(f"{target.place} is no Celery application; name one, such as shop.tasks:app")
    return joined(_jobs_of(app, target.place) for app in apps.values())


def _jobs_of(app: Theirs, place: str) -> Found:
    try:
        # Celery reads its settings first too: then handlers of `on_after_configure` find all tasks.
        app.conf.get("beat_schedule")
        app.loader.import_default_modules()
        app.finalize()
    except Exception as error:  # modules of an application may raise anything
        raise ImportSourceError(f"{place} cannot load its tasks: {type(error).__name__}: {error}") from error
    tasks = {name: task for name, task in app.tasks.items() if not name.startswith("celery.")}
    if not tasks:
        raise ImportSourceError(f"{place} has no tasks; import the modules with its tasks, or set `include`")
    entries = _entries(app)
    unknown = [
        LeftOut(place, f"beat_schedule {name!r}", f"there is no task {entry['task']!r}", "add its schedule to a spec")
        for name, entry in entries.items()
        if entry["task"] not in tasks
    ]
    taken = Counter(_short(name) for name in tasks)
    jobs = [
        _job(task, _short(task.name) if taken[_short(task.name)] == 1 else task.name.replace(".", "_"), entries)
        for task in sorted(tasks.values(), key=_position)
    ]
    return found_jobs(jobs, (*unknown, *_differences(app, place)))


def _differences(app: Theirs, place: str) -> Iterator[LeftOut]:
    """Yield settings of the application that no spec has."""
    if app.conf.task_acks_late:
        yield LeftOut(place, "task_acks_late=True", *_ACKNOWLEDGED_LATE)
    else:
        why = "a worker that dies loses its tasks in Celery, and their attempt here"
        yield LeftOut(place, "task_acks_late=False", why, "raise maxAttempts of jobs that may run twice")
    if soft := app.conf.task_soft_time_limit:
        yield LeftOut(place, f"task_soft_time_limit={soft}", *_NO_SOFT_LIMIT)
    if app.conf.result_expires and not app.conf.task_ignore_result:
        what, why = f"result_expires={seconds(app.conf.result_expires)}", "finished jobs stay until deleted"
        yield LeftOut(place, what, why, "add retention to the specs")
    settings = app.conf.table(with_defaults=False)
    others = {name: value for name, value in settings.items() if name.startswith(_OF_TASKS)}
    advice = dict.fromkeys((name for name in others if name.startswith("worker_")), _OF_A_WORKER)
    yield from rest(place, {name: value for name, value in others.items() if name not in _READ_SETTINGS}, advice)
    yield from rest(place, dict(_receivers()), {})
    if app.conf.task_serializer != "json":
        why = "params are JSON"
        yield LeftOut(place, f"task_serializer={app.conf.task_serializer!r}", why, "pass data instead of objects")


def _receivers() -> Iterator[tuple[str, Theirs]]:
    """Yield the functions that the application connected to signals, without those of Celery."""
    for name, signal in vars(sys.modules["celery.signals"]).items():
        for _, receiver in getattr(signal, "receivers", None) or ():
            function = receiver() if isinstance(receiver, ReferenceType) else receiver
            module = str(getattr(function, "__module__", ""))
            if function is not None and module.partition(".")[0] not in ("celery", "kombu", "vine"):
                yield f"signal {name} {getattr(function, '__name__', type(function).__name__)}", function


def _entries(app: Theirs) -> Mapping[str, Mapping[str, Theirs]]:
    return dict(app.conf.beat_schedule or {})


def _function(task: Theirs) -> Theirs:
    """Return the function of a task, without the wrapper for `autoretry_for`."""
    return getattr(task, "_orig_run", task.run)


def _position(task: Theirs) -> tuple[str, int]:
    """Return where a task is defined, so that specs are listed in the order of the source."""
    function = _function(task)
    code = getattr(function, "__code__", None)
    return str(function.__module__), code.co_firstlineno if code else 0


def _short(name: str) -> str:
    return name.rpartition(".")[2]


@one_job
def _job(task: Theirs, name: str, entries: Mapping[str, Mapping[str, Theirs]]) -> FoundJob | LeftOut:
    reader = TaskReader(_function(task))
    conf = task.app.conf
    reader.queue(_queue(task), "celery")
    _read_retries(task, reader)
    if task.acks_late and not conf.task_acks_late and reader.runs_once:
        reader.leave_out("acks_late", *_ACKNOWLEDGED_LATE)
    _read_time_limits(task, reader)
    _read_expiry(task, reader)
    _read_rate(task.rate_limit or conf.task_default_rate_limit, reader)
    _read_priority(task, reader)
    for option, value in _others(task).items():
        if callable(value) or isinstance(value, property | classmethod | staticmethod):
            reader.leave_out(option, "a spec has no code", _MOVE_CODE)
        else:
            reader.rest({option: value}, _ADVICE)
    route = task.app.amqp.router.route({}, task.name)
    reader.rest({f"task_routes {key}": value for key, value in route.items() if key != "queue"})
    for slot, entry in entries.items():
        if entry["task"] == task.name:
            _read_entry(slot, entry, task.app, reader)
    return reader.job(name, has_result=not task.ignore_result)


def _others(task: Theirs) -> Mapping[str, Theirs]:
    """Return the attributes that a task or its base classes state, beside those that are read and inherited values."""
    owners = task.__class__.__mro__
    base = next(index for index, owner in enumerate(owners) if owner.__module__ == "celery.app.task")
    settings = dict(owners[base].from_config)
    found: dict[str, Theirs] = {}
    for owner in owners[:base]:
        found = {**vars(owner), **found}
    inherited = {name: [getattr(owners[base], name, None), task.app.conf.get(settings.get(name))] for name in found}
    # Celery derives these from others.
    inherited |= {name: [None, True] for name in ("acks_on_failure", "acks_on_timeout", "typing") if name in found}
    return {
        name: value
        for name, value in found.items()
        if name not in _READ | _OWN and not any(value is one or value == one for one in inherited[name])
        if name == "__call__" or not name.startswith("_")
    }


def _queue(task: Theirs) -> str:
    stated = getattr(task, "queue", None) or task.app.amqp.router.route({}, task.name).get("queue")
    return str(getattr(stated, "name", stated) or task.app.conf.task_default_queue)


def _read_retries(task: Theirs, reader: TaskReader) -> None:
    retried: tuple[type[BaseException], ...] = tuple(getattr(task, "autoretry_for", ()))
    calls_retry = uses_name(_function(task), "retry")
    if not retried and not calls_retry:
        return
    arguments = getattr(task, "retry_kwargs", None) or {}
    most = arguments.get("max_retries", task.max_retries)
    reader.attempts(None if most is None else most + 1, f"max_retries={most}")
    others = {f"retry_kwargs {key}": value for key, value in arguments.items() if key not in _READ_OF_RETRIES}
    reader.rest(others)
    backoff = getattr(task, "retry_backoff", False) if retried else False
    if backoff:
        has_jitter = bool(getattr(task, "retry_jitter", True))
        initial = timedelta(seconds=int(max(1.0, float(backoff))))
        maximum = timedelta(seconds=int(getattr(task, "retry_backoff_max", 600)))
        reader.backoff(Backoff.EXPONENTIAL, initial, maximum, 0.2 if has_jitter else 0)
        if has_jitter:
            why = "Celery waits a random time up to the delay, a job waits the delay and up to a fifth more"
            reader.leave_out("retry_jitter", why, "set retry.jitter in the spec")
    else:
        reader.fixed_delay(timedelta(seconds=arguments.get("countdown", task.default_retry_delay)))
    if retried and not {Exception, BaseException} & set(retried):
        names = ", ".join(error.__name__ for error in retried)
        why = "each error of a handler is retried"
        reader.leave_out(f"autoretry_for {names}", why, "raise DoNotRetryError for the others in the handler")
    for error in getattr(task, "dont_autoretry_for", ()):
        why = "each error of a handler is retried"
        reader.leave_out(f"dont_autoretry_for {error.__name__}", why, "raise DoNotRetryError in the handler")
    if calls_retry:
        reader.leave_out("self.retry", "a spec has no code", _IN_THE_HANDLER)


def _read_time_limits(task: Theirs, reader: TaskReader) -> None:
    hard = task.time_limit or task.app.conf.task_time_limit
    soft = task.soft_time_limit or task.app.conf.task_soft_time_limit
    reader.carry(f"time_limit={hard or soft}", timeout=seconds(hard or soft))
    if soft and soft != task.app.conf.task_soft_time_limit:
        reader.leave_out(f"soft_time_limit={soft}", *_NO_SOFT_LIMIT)


def _read_expiry(task: Theirs, reader: TaskReader) -> None:
    expires = task.expires
    if isinstance(expires, int | float | timedelta):
        reader.carry(f"expires={expires}", expires_after=seconds(expires))
    elif expires is not None:
        reader.leave_out(f"expires={expires}", "a spec has no date", "pass expires_after in the calls")


def _read_rate(rate: object, reader: TaskReader) -> None:
    match = None if rate is None else _RATE.fullmatch(str(rate))
    if match is None:
        if rate is not None:
            reader.leave_out(f"rate_limit={rate!r}", "it is no rate", "add rate to the spec")
        return
    number, period = float(match["number"]), _PERIODS[match["period"]]
    if not number:
        return  # Celery's word for no limit
    limit = RateLimit(limit=1, per=period / number) if number % 1 else RateLimit(limit=int(number), per=period)
    reader.carry(f"rate_limit={rate!r}", rate=limit)
    why = "it limits each worker in Celery, and all workers together here"
    reader.leave_out(f"rate_limit={rate!r}", why, "multiply rate.limit by the number of workers")


def _read_priority(task: Theirs, reader: TaskReader) -> None:
    stated = task.priority if task.priority is not None else task.app.conf.task_default_priority
    if stated is None:
        return
    # Redis delivers 0 first, AMQP the highest number.
    priority = -stated if str(task.app.conf.broker_url).startswith(("redis", "sentinel", "valkey")) else stated
    reader.priority(priority, f"priority={stated}")


def _read_entry(name: str, entry: Mapping[str, Theirs], app: Theirs, reader: TaskReader) -> None:
    if options := entry.get("options"):
        why = "a schedule has no options"
        reader.leave_out(f"beat_schedule {name!r}: options {sorted(options)}", why, "set them for the whole job")
    cron, why = _cron(entry["schedule"])
    if cron is None:
        advice = "choose other times in the spec, or let the handler enqueue the next job with `delay`"
        reader.leave_out(f"beat_schedule {name!r}", why, advice)
        return
    timezone = getattr(app.timezone, "key", None)
    if timezone is None and str(app.timezone) != "UTC":
        why = f"the time zone {app.timezone} has no IANA name, so the spec has UTC"
        reader.leave_out(f"beat_schedule {name!r}", why, "set its timezone in the spec")
    reader.schedule(name, cron, timezone or "UTC", entry.get("args") or (), entry.get("kwargs") or {})


def _cron(schedule: Theirs) -> tuple[str | None, str]:
    """Return the cron expression of a schedule of beat, or None and the reason."""
    if is_a(schedule, "celery.schedules.crontab"):
        slots = Slots(
            minutes=schedule.minute,
            hours=schedule.hour,
            days=schedule.day_of_month,
            months=schedule.month_of_year,
            weekdays=schedule.day_of_week,
        )
        return slots.cron, "Celery fires if day_of_month and day_of_week both match, cron if one of them does"
    if is_a(schedule, "celery.schedules.solar"):
        return None, "a schedule does not follow the sun"
    interval = seconds(getattr(schedule, "run_every", schedule))
    if not isinstance(interval, timedelta):
        return None, f"{type(schedule).__name__} is no crontab and no interval"
    return interval_cron(interval), f"no cron expression fires every {interval}"
