"""Jobs from functions that RQ calls: `shop.tasks`, `shop.tasks:send_email`, or a module for `rq cron`."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

from ..found_job import Found, FoundJob, ImportSourceError, LeftOut
from ..modules import ModuleTarget, defined_in, import_target
from .cron_text import interval_cron
from .task_reader import Function, TaskReader, Theirs, found_jobs, is_class, one_job, place_of

_DEFAULT_TIMEOUT = 180
_DEFAULT_RESULT_TTL = 500
_LENGTH = re.compile(r"(\d+)([dhms]?)")
_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1, "": 1}
_READ = frozenset({"queue", "queue_class", "connection", "timeout", "ttl", "result_ttl", "failure_ttl", "retry"})
_READ_OF_RETRY = frozenset({"max", "intervals", "enqueue_at_front"})
_READ_OF_ENTRY = frozenset({"func", "queue_name", "args", "kwargs", "interval", "cron", "name"})
_ADVICE: Mapping[str, str] = dict.fromkeys(
    ("depends_on", "meta", "at_front", "description"), "move it into the calls or into the handler"
)
_NO_LIMIT = "-1"


def find(targets: Sequence[str], folders: Sequence[str]) -> Found:
    """Return the jobs of functions, with the schedules that the targets register for `rq cron`. See `Source`."""
    imported = [import_target(target, folders) for target in targets]
    entries = list(getattr(sys.modules.get("rq.cron"), "_job_data_registry", ()))
    functions = {id(function): function for target in imported for function in _functions(target, entries)}
    plain = {id(one): one for target in imported for one in _defined(target) if id(one) not in functions}
    why, advice = "it has no @job, and may be a callback", "name it as a target if workers run it"
    return found_jobs(
        (_job(function, entries) for function in functions.values()),
        (LeftOut(place_of(one), "function", why, advice) for one in plain.values()),
    )


def _defined(target: ModuleTarget) -> Sequence[Function]:
    if target.attribute is not None:
        return []
    return [value for value in defined_in(target.module, inspect.isfunction).values() if inspect.isfunction(value)]


def _functions(target: ModuleTarget, entries: Sequence[Mapping[str, Theirs]]) -> Iterator[Function]:
    """Yield the functions of a target. A module for `rq cron` has the functions that it registers."""
    if target.attribute is not None:
        if not inspect.isfunction(target.value):
            raise ImportSourceError(f"{target.place} must be a function, not {type(target.value).__name__}")
        yield target.value
        return
    functions = _defined(target)
    decorated = [function for function in functions if _decorator(function) is not None]
    scheduled = [entry["func"] for entry in entries if any(entry["func"] is one for one in target.objects)]
    if not functions and not scheduled:
        raise ImportSourceError(f"{target.place} defines no public function; name one, such as shop.tasks:send_email")
    # Callbacks and helpers stand beside decorated functions. Without any, each function may be a job.
    yield from decorated or functions
    yield from scheduled


def _decorator(function: object) -> Theirs:
    """Return the `rq.decorators.job` of a function, if it has one."""
    delay = getattr(function, "enqueue", None) or getattr(function, "delay", None)
    return inspect.getclosurevars(delay).nonlocals.get("self") if inspect.isfunction(delay) else None


@one_job
def _job(function: Function, entries: Sequence[Mapping[str, Theirs]]) -> FoundJob | LeftOut:
    reader = TaskReader(function)
    own = [entry for entry in entries if entry["func"] is function]
    decorator = _decorator(function)
    if decorator is not None:
        _read_decorator(decorator, reader)
    else:
        reader.carry("timeout", timeout=timedelta(seconds=_DEFAULT_TIMEOUT))
        if own:
            reader.queue(own[0]["queue_name"])
        else:
            why = "the call chooses it"
            reader.leave_out("queue, retry and timeout", why, "state them in the spec")
    for entry in own:
        _read_entry(entry, reader)
    return reader.job(place_of(function).rpartition(":")[2].rpartition(".")[2])


def _read_decorator(decorator: Theirs, reader: TaskReader) -> None:
    queue = decorator.queue
    reader.queue(str(getattr(queue, "name", queue)))
    timeout = decorator.timeout or getattr(queue, "_default_timeout", None) or _DEFAULT_TIMEOUT
    lengths = {"timeout": timeout, **{name: getattr(decorator, name) for name in ("ttl", "result_ttl", "failure_ttl")}}
    for name, value in lengths.items():
        if value is not None and str(value) != _NO_LIMIT and _length(value) is None:
            reader.rest({name: str(value)})
    reader.carry(f"timeout={timeout}", timeout=_length(timeout))
    reader.carry(f"ttl={decorator.ttl}", expires_after=_length(decorator.ttl))
    reader.retain(f"result_ttl={decorator.result_ttl}", completed=_length(decorator.result_ttl))
    reader.retain(f"failure_ttl={decorator.failure_ttl}", failed=_length(decorator.failure_ttl))
    if decorator.retry is not None:
        _read_retry(decorator.retry, reader)
    if not is_class(decorator.queue_class, "rq.queue.Queue"):
        reader.rest({"queue_class": decorator.queue_class})
    reader.rest({name: value for name, value in vars(decorator).items() if name not in _READ and value}, _ADVICE)


def _read_retry(retry: Theirs, reader: TaskReader) -> None:
    reader.attempts(retry.max + 1, f"Retry(max={retry.max})")
    first, *others = retry.intervals or [0]
    reader.fixed_delay(timedelta(seconds=first))
    if any(other != first for other in others):
        why = "a spec has one rule for all delays, and has the first one"
        advice = "choose a backoff in the spec, or raise RetryAfterError with a delay by context.attempt"
        reader.leave_out(f"Retry(interval={list(retry.intervals)})", why, advice)
    if getattr(retry, "enqueue_at_front", False):
        reader.leave_out("Retry(enqueue_at_front=True)", "a retry keeps the priority of its job", "raise the priority")
    others = {name: value for name, value in vars(retry).items() if name not in _READ_OF_RETRY and value}
    reader.rest({f"Retry({name}=...)": value for name, value in others.items()})


def _read_entry(entry: Mapping[str, Theirs], reader: TaskReader) -> None:
    """Read an entry for `rq cron`."""
    interval = timedelta(seconds=entry["interval"] or 0)
    cron = entry["cron"] or interval_cron(interval)
    name = entry.get("name") or "main"
    if cron is None:
        why = f"no cron expression fires every {interval}"
        reader.leave_out(f"cron.register(interval={entry['interval']})", why, "add a schedule to the spec")
        return
    reader.schedule(name, cron, "UTC", entry["args"] or (), entry["kwargs"] or {})
    if entry["cron"]:
        why = "RQ reads it in local time, and the spec has UTC"
        reader.leave_out(f"cron.register(cron={cron!r})", why, "set timezone in the spec")
    for option, value in entry.items():
        is_default = option == "result_ttl" and value == _DEFAULT_RESULT_TTL
        if option not in _READ_OF_ENTRY and value is not None and not is_default:
            reader.leave_out(f"cron.register({option}=...)", "a schedule has no options", "set it for the whole job")


def _length(value: object) -> timedelta | None:
    """Return a length of time of RQ: seconds, or a text such as "1h". None for -1, no limit, and for other values."""
    match = _LENGTH.fullmatch(str(value)) if value is not None else None
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]]) if match else None
