"""The options of one task of another queue, as options of a job, with a list of the parts that its spec lacks."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import wraps
from typing import Any, ParamSpec

from server_jobs.contract.values import at_pointer
from server_jobs.domain.options import (
    HIGHEST_PRIORITY,
    LOWEST_PRIORITY,
    MOST_ATTEMPTS,
    Backoff,
    JobOptions,
    RetryPolicy,
    Schedule,
)
from server_jobs.errors import InvalidOptionError

from ..found_job import ANY_ERROR, Decision, Found, FoundJob, LeftOut, reason
from ..signatures import job_of_function

Given = ParamSpec("Given")
Function = Callable[..., object]
Theirs = Any
"""An object of another queue. Readers use a few of its attributes, as its documentation describes them."""

_KNOWN_DECORATORS = {
    "TaskLock.__call__": ("lock_task", "a locked task fails in Huey, and waits here", "state concurrency with limit 1")
}
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.-]+")
_LONGEST_DELAY = timedelta(days=365)
_LONGEST_NAME = 63


def is_class(value: type, name: str) -> bool:
    """Whether a class has this full name, such as `rq.queue.Queue`."""
    return f"{value.__module__}.{value.__qualname__}" == name


def is_a(value: object, name: str) -> bool:
    """Whether a value has a class with this full name, such as `celery.app.base.Celery`, also behind a proxy."""
    try:
        return any(is_class(one, name) for one in value.__class__.__mro__)
    except ANY_ERROR:  # a proxy may have no object yet
        return False


def place_of(function: Function) -> str:
    """Return the place of a function for messages, such as `shop.tasks:send_email`."""
    plain = inspect.unwrap(function)
    return f"{plain.__module__}:{plain.__qualname__}"


def uses_name(function: Function, name: str) -> bool:
    """Whether the code of a function uses a global name or an attribute with this name."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return code is not None and name in code.co_names


def seconds(value: float | timedelta | None) -> timedelta | None:
    """Return a number of seconds as a duration."""
    return value if value is None or isinstance(value, timedelta) else timedelta(seconds=value)


def found_jobs(jobs: Iterable[FoundJob | LeftOut], left_out: Iterable[LeftOut] = ()) -> Found:
    """Return the jobs, the jobs that could not be read, and the parts that belong to no job."""
    each = list(jobs)
    return Found(
        tuple(one for one in each if isinstance(one, FoundJob)),
        tuple(one for one in each if isinstance(one, LeftOut)),
        tuple(left_out),
    )


def one_job(read: Callable[Given, FoundJob | LeftOut]) -> Callable[Given, FoundJob | LeftOut]:
    """Return a function that reads one task, its first argument. An error becomes the reason to have no spec."""

    @wraps(read)
    def tried(*args: Given.args, **kwargs: Given.kwargs) -> FoundJob | LeftOut:
        try:
            return read(*args, **kwargs)
        except ANY_ERROR as error:
            return LeftOut(_name_of(args[0]), "job", reason(error), "change it, then import it")

    return tried


def rest(place: str, options: Mapping[str, object], advice: Mapping[str, str]) -> Iterator[LeftOut]:
    """Yield the options of a task, or of a worker, that no reader knows."""
    for name, value in sorted(options.items()):
        is_plain = isinstance(value, bool | int | float | str)
        why, usual = (
            "not carried over: a spec has no such option",
            "do it in the handler or in middleware, if it matters",
        )
        yield LeftOut(place, f"{name}={str(value)[:60]}" if is_plain else name, why, advice.get(name, usual))


class TaskReader:
    """The options of one task, as they are read. `skip` is the number of first parameters that the queue fills in."""

    def __init__(self, function: Function, skip: int = 0) -> None:
        self.place = place_of(function)
        self._function = function
        self._skip = skip
        self._options = JobOptions(max_attempts=1)
        self._schedules: list[Schedule] = []
        self._left_out: list[LeftOut] = []
        for name in _decorators(function):
            usual = f"decorator {name}", "a spec has no code", "do it in the handler or in middleware"
            self.leave_out(*_KNOWN_DECORATORS.get(name, usual))

    def job(self, name: str, *, has_result: bool = True) -> FoundJob | LeftOut:
        """Return the job, or the reason why its signature cannot be read.

        Without `has_result`, the queue drops the return value.
        """
        try:
            found = job_of_function(
                self._function,
                name=name,
                place=self.place,
                skip=self._skip,
                options=self._options,
            )
        except ANY_ERROR as error:
            return LeftOut(self.place, f"job {name}", reason(error), "change its type hints, then import it")
        found = replace(found, schedules=tuple(self._fitting(found)))
        left_out = (*found.left_out, *self._left_out)
        if has_result:
            return replace(found, left_out=left_out)
        returned = f"{self.place}(return)"
        return replace(found, result=None, left_out=tuple(one for one in left_out if one.place != returned))

    @property
    def runs_once(self) -> bool:
        """Whether the job has one attempt."""
        return self._options.max_attempts == 1

    def leave_out(self, what: str, why: str, advice: str) -> None:
        """List a part of the task that the spec lacks."""
        self._left_out.append(LeftOut(self.place, what, why, advice))

    def rest(self, options: Mapping[str, object], advice: Mapping[str, str] | None = None) -> None:
        """List options that no other method has read. `advice` has better advice than the usual one, by name."""
        self._left_out += rest(self.place, options, advice or {})

    def retain(self, what: str, **periods: timedelta | None) -> None:
        """Set how long finished jobs stay."""
        try:
            retention = replace(self._options.retention, **periods)
        except (InvalidOptionError, OverflowError) as error:
            self.leave_out(what, str(error), "state `retention` in the spec")
        else:
            self.carry(what, retention=retention)

    def carry(self, what: str, **options: Theirs) -> None:
        """Set options of the job. Values that a job cannot have are listed as `what`."""
        try:
            self._options = replace(self._options, **options)
        except (InvalidOptionError, OverflowError) as error:
            self.leave_out(what, str(error), "state another value in the spec")

    def queue(self, name: str, default: str = "default") -> None:
        """Set the queue. The name `default` of the other system becomes `default` here."""
        valid = _valid_name(name) if name != default else "default"
        if valid != name and name != default:
            self.leave_out(f"queue {name!r}", "a name has letters, digits, '_', '.' and '-'", f"the spec has {valid!r}")
        self.carry(f"queue {name!r}", queue=valid)

    def attempts(self, number: int | None, what: str) -> None:
        """Set the number of attempts, the first one included; None: no limit."""
        if number is None or number > MOST_ATTEMPTS:
            self.leave_out(what, f"a job has at most {MOST_ATTEMPTS} attempts", f"the spec has {MOST_ATTEMPTS}")
            number = MOST_ATTEMPTS
        self.carry(what, max_attempts=max(number, 1))

    def priority(self, number: int, what: str) -> None:
        """Set the priority, or the nearest one that a job can have."""
        nearest = min(max(number, LOWEST_PRIORITY), HIGHEST_PRIORITY)
        if nearest != number:
            why = f"a priority is between {LOWEST_PRIORITY} and {HIGHEST_PRIORITY}"
            self.leave_out(what, why, f"the spec has {nearest}")
        self.carry(what, priority=nearest)

    def fixed_delay(self, delay: timedelta) -> None:
        """Retry after the same delay each time."""
        self.backoff(Backoff.FIXED, delay, max(delay, timedelta(minutes=10)), jitter=0)

    def backoff(self, kind: Backoff, initial: timedelta, maximum: timedelta, jitter: float) -> None:
        """Set the delays before attempts."""
        longest = min(maximum, _LONGEST_DELAY)
        try:
            policy = RetryPolicy(backoff=kind, initial=min(initial, longest), maximum=longest, jitter=jitter)
        except InvalidOptionError as error:
            self.leave_out("delays of retries", str(error), "state `retry` in the spec")
        else:
            self.carry("delays of retries", retry=policy)

    def schedule(
        self,
        name: str,
        cron: str,
        timezone: str,
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> None:
        """Add a schedule with the params of a call. Arguments that JSON does not have leave it out."""
        try:
            params = self._params(args, kwargs or {})
        except (TypeError, ValueError) as error:
            self.leave_out(f"schedule {name!r}", f"its arguments are no params: {error}", "add it to the spec")
            return
        valid = _valid_name(name)
        taken = {one.name for one in self._schedules}
        if valid in taken:
            valid = next(new for new in (f"{valid[:58]}-{number}" for number in range(2, 1000)) if new not in taken)
        self._schedules.append(Schedule(name=valid, cron=cron, timezone=timezone, params=params))

    def _fitting(self, found: FoundJob) -> Iterator[Schedule]:
        """Yield the schedules whose params fit the job, and list the others."""
        source = None if found.params is None else found.params.type
        secrets = () if found.params is None else found.params.secrets
        for one in self._schedules:
            params = json.loads(one.params)
            if any(at_pointer(params, pointer) is not None for pointer in secrets):
                why, advice = "its arguments have secrets", "enqueue it from code that reads them"
                self.leave_out(f"schedule {one.name!r}", why, advice)
            elif source is None or source.decide(params) is Decision.ACCEPTS:
                yield one
            else:
                why = f"its arguments {one.params} do not fit the type hints"
                self.leave_out(f"schedule {one.name!r}", why, "add it to the spec with other params")

    def _params(self, args: Sequence[object], kwargs: Mapping[str, object]) -> str:
        parameters = list(inspect.signature(self._function).parameters.values())[self._skip :]
        bound = inspect.Signature(parameters).bind(*args, **kwargs).arguments
        for parameter in parameters:
            if parameter.kind is parameter.VAR_POSITIONAL and parameter.name in bound:
                raise TypeError(f"*{parameter.name} has no name")
            if parameter.kind is parameter.VAR_KEYWORD:
                bound |= bound.pop(parameter.name, {})
        return json.dumps(bound, allow_nan=False)


def _decorators(function: Function) -> Iterator[str]:
    """Yield the names of the decorators around a function, without those of our own and of async actors of Dramatiq."""
    while (wrapped := getattr(function, "__wrapped__", None)) is not None:
        code = getattr(function, "__code__", None)
        module = str(getattr(function, "__globals__", {}).get("__name__", ""))
        if code is None or not module.startswith(("dramatiq.", f"{__name__.partition('.')[0]}.")):
            yield type(function).__name__ if code is None else code.co_qualname.partition(".<locals>")[0]
        function = wrapped


def _name_of(task: object) -> str:
    names = (getattr(task, attribute, None) for attribute in ("name", "actor_name", "__qualname__"))
    return next((name for name in names if isinstance(name, str)), type(task).__name__)


def _valid_name(name: str) -> str:
    return _NOT_IN_NAMES.sub("-", name).strip("-_.")[:_LONGEST_NAME] or "main"
