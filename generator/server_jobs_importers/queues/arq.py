"""Jobs from the settings of an arq worker: `feeds.tasks:WorkerSettings`, or a module with them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from server_jobs.project_registry import import_application

from ..found_job import Found, FoundJob, ImportSourceError, LeftOut, joined
from ..modules import ModuleTarget, import_target
from .cron_text import Slots
from .task_reader import Function, TaskReader, Theirs, found_jobs, is_a, one_job, place_of, rest, seconds, uses_name

_DEFAULTS: Mapping[str, Theirs] = {"max_tries": 5, "job_timeout": 300, "queue_name": "arq:queue"}
_READ = frozenset(
    {
        *("functions", "cron_jobs", "queue_name", "timezone", "max_tries", "job_timeout", "keep_result"),
        *("keep_result_forever", "retry_jobs"),
    }
)
_READ_OF_ENTRY = frozenset(
    {
        *("name", "coroutine", "timeout_s", "keep_result_s", "keep_result_forever", "max_tries"),
        *("month", "day", "weekday", "hour", "minute", "second", "microsecond"),
        *("run_at_startup", "unique", "next_run"),
    }
)
_OF_A_WORKER = "see the options of `server-jobs worker`"
_ADVICE = {
    "redis_settings": "the database is set by SERVER_JOBS_DATABASE_URL",
    **dict.fromkeys(("max_jobs", "poll_delay", "burst", "job_completion_wait", "handle_signals"), _OF_A_WORKER),
    "on_startup": "open resources in a lifespan, and take them as parameters of handlers",
    "on_shutdown": "close resources in a lifespan",
    "on_job_start": "move it into middleware",
    "on_job_end": "move it into middleware",
    "after_job_end": "move it into middleware",
}
_CONTEXT = 1
_FUNCTION = "arq.worker.Function"
_WEEKDAYS = ("mon", "tues", "wed", "thurs", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class _Settings:
    """The settings of a worker: attributes of a class, or items of a dict."""

    value: Theirs
    folders: Sequence[str]

    def get(self, name: str) -> Theirs:
        stated = self.value.get(name) if isinstance(self.value, dict) else getattr(self.value, name, None)
        return _DEFAULTS.get(name) if stated is None else stated

    @property
    def names(self) -> Sequence[str]:
        """The names of the settings that the application states."""
        owners = [] if isinstance(self.value, dict) else [one for one in self.value.__mro__ if one is not object]
        stated = self.value if isinstance(self.value, dict) else {name for owner in owners for name in vars(owner)}
        return [name for name in stated if not name.startswith("_")]

    def function(self, given: object) -> Theirs:
        """Return the function of an entry, which may be the path of one."""
        if not isinstance(given, str):
            return given
        module, _, name = given.rpartition(".")
        try:
            return getattr(import_application(module, self.folders), name)
        except AttributeError as error:
            raise ImportSourceError(f"{module} has no {name!r}") from error


def find(targets: Sequence[str], folders: Sequence[str]) -> Found:
    """Return the jobs of the functions and the cron jobs of arq workers. See `Source`."""
    return joined(_found(import_target(target, folders), folders) for target in targets)


def _found(target: ModuleTarget, folders: Sequence[str]) -> Found:
    workers = [_Settings(value, folders) for value in target.objects if _is_settings(value, target)]
    if not workers:
        raise ImportSourceError(
            f"{target.place} has no settings of an arq worker; name them: shop.tasks:WorkerSettings"
        )
    return joined(found_jobs(_jobs(one), _others(one, target.place)) for one in workers)


def _is_settings(value: object, target: ModuleTarget) -> bool:
    if isinstance(value, dict):
        return target.attribute is not None and bool({"functions", "cron_jobs"} & value.keys())
    return inspect.isclass(value) and bool({"functions", "cron_jobs"} & set(dir(value)))


def _others(settings: _Settings, place: str) -> Iterator[LeftOut]:
    stated = {name: settings.get(name) for name in settings.names if name not in _READ}
    yield from rest(place, {name: value for name, value in stated.items() if value is not None}, _ADVICE)


def _jobs(settings: _Settings) -> Iterator[FoundJob | LeftOut]:
    """Yield a job for each function, with its cron jobs, and for each other cron job."""
    cron_jobs = list(settings.get("cron_jobs") or ())
    entries: dict[object, Theirs] = {}
    for entry in settings.get("functions") or ():
        entries[settings.function(entry.coroutine if is_a(entry, _FUNCTION) else entry)] = entry
    for cron_job in cron_jobs:
        entries.setdefault(settings.function(cron_job.coroutine), cron_job)
    for function, entry in entries.items():
        yield _job(function, entry, settings, cron_jobs)


@one_job
def _job(function: Theirs, entry: Theirs, settings: _Settings, cron_jobs: Sequence[Theirs]) -> FoundJob | LeftOut:
    """Read a function. `entry` is its own, of the functions or of the cron jobs of the worker."""
    reader = _reader(function, settings, entry)
    for cron_job in cron_jobs:
        if settings.function(cron_job.coroutine) is function:
            _read_cron(cron_job, settings, reader)
    return reader.job(_short(entry.name if is_a(entry, _FUNCTION) else place_of(function)))


def _short(name: str) -> str:
    return name.rpartition(":")[2].rpartition(".")[2]


def _reader(function: Function, settings: _Settings, own: Theirs) -> TaskReader:
    """Return the reader of a function. The options in `own` win over the defaults of the worker."""
    reader = TaskReader(function, _CONTEXT)
    reader.queue(settings.get("queue_name"), _DEFAULTS["queue_name"])
    tries = _first(getattr(own, "max_tries", None), settings.get("max_tries"))
    tries = 1 if settings.get("retry_jobs") is False else tries
    reader.attempts(tries, f"max_tries={tries}")
    timeout = _first(getattr(own, "timeout_s", None), settings.get("job_timeout"))
    reader.carry(f"timeout={timeout}", timeout=seconds(timeout))
    if (keep := _kept(own, settings)) is not None:
        reader.retain(f"keep_result={keep}", completed=keep, failed=keep)
    others = {
        name: value for name, value in getattr(own, "__dict__", {}).items() if name not in _READ_OF_ENTRY and value
    }
    reader.rest({} if own is function else others)
    if tries != 1:
        why = "each error of a handler is retried, in arq only Retry and a stopped worker"
        reader.leave_out(f"max_tries={tries}", why, "raise DoNotRetryError for final errors in the handler")
    if uses_name(function, "Retry"):
        reader.leave_out("Retry", "a spec has no code", "raise RetryAfterError with this delay in the handler")
    return reader


def _kept(own: Theirs, settings: _Settings) -> timedelta | None:
    """Return how long results are kept, if the source states it. A cron job keeps none unless it states a time."""
    if getattr(own, "keep_result_forever", None):
        return None
    stated = getattr(own, "keep_result_s", None)
    is_unstated = stated == 0 and not is_a(own, _FUNCTION)
    return None if is_unstated else seconds(_first(stated, settings.get("keep_result")))


def _first(*values: Theirs) -> Theirs:
    return next((value for value in values if value is not None), None)


def _read_cron(cron_job: Theirs, settings: _Settings, reader: TaskReader) -> None:
    name = str(cron_job.name).removeprefix("cron:")
    what = f"cron {name!r}"
    second = cron_job.second
    cron = _slots(cron_job).cron
    if not isinstance(second, int):
        reader.leave_out(what, "a schedule has no seconds", "add a schedule to the spec")
        return
    if cron is None:
        why = "arq fires if day and weekday both match, cron if one of them does"
        reader.leave_out(what, why, "add a schedule to the spec")
        return
    if second:
        reader.leave_out(what, f"a schedule fires at second 0, not {second}", "wait in the handler if that matters")
    if cron_job.run_at_startup:
        reader.leave_out(
            f"{what}: run_at_startup", "a schedule fires at its slots only", "enqueue it in the deployment"
        )
    if not cron_job.unique:
        reader.leave_out(f"{what}: unique=False", "each slot makes one job", "run it once per worker by other means")
    timezone = getattr(settings.get("timezone"), "key", None)
    if timezone is None and str(settings.get("timezone")) != "UTC":
        why = "arq reads it in the time zone of the machine, and the spec has UTC"
        reader.leave_out(what, why, "set timezone in the spec")
    reader.schedule(name, cron, timezone or "UTC")


def _slots(cron_job: Theirs) -> Slots:
    weekday = cron_job.weekday
    weekdays = _numbers(_WEEKDAYS.index(weekday.lower()) if isinstance(weekday, str) else weekday, range(7))
    return Slots(
        minutes=_numbers(cron_job.minute, range(60)),
        hours=_numbers(cron_job.hour, range(24)),
        days=_numbers(cron_job.day, range(1, 32)),
        months=_numbers(cron_job.month, range(1, 13)),
        weekdays={(day + 1) % 7 for day in weekdays},  # arq counts from Monday
    )


def _numbers(value: Theirs, every: range) -> Sequence[int]:
    if value is None:
        return every
    return [value] if isinstance(value, int) else sorted(value)
