"""The keyword `x-job` of a spec: how the job is queued, retried and scheduled, as the options the runtime knows."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import JsonValue
from server_jobs.errors import InvalidOptionError
from server_jobs.options import (
    HIGHEST_LIMIT,
    HIGHEST_MISFIRE_LIMIT,
    HIGHEST_PRIORITY,
    LOWEST_PRIORITY,
    ConcurrencyLimit,
    JobOptions,
    Misfire,
    RateLimit,
    Retention,
    RunIn,
    Schedule,
)
from server_jobs.retry import Backoff, RetryPolicy

from .document import Document, Pointer
from .instance import Fitting, follow
from .option_values import (
    OptionError,
    read_choice,
    read_cron,
    read_duration,
    read_integer,
    read_name,
    read_period,
    read_share,
    read_timeout,
    read_timezone,
)
from .problems import SpecProblem, listed, nearest, shown
from .rules import Rule
from .spec_rules import (
    LISTED_TWICE,
    NAME_TAKEN,
    OPTION_MISSING,
    OPTION_UNKNOWN,
    OPTION_VALUE,
    OPTION_WITHOUT_EFFECT,
    POINTER_UNRESOLVED,
    SCHEDULE_PARAMS_DO_NOT_FIT,
)

_LONGEST_LIST = 1_000
_HIGHEST_VERSION = 2**31 - 1


@dataclass(slots=True)
class OptionsLint:
    """Reads the `x-job` of one spec. `params` is the schema of its params, against which schedules are checked."""

    document: Document
    file: str
    params: JsonValue
    fitting: Fitting
    problems: list[SpecProblem] = field(default_factory=list[SpecProblem])
    schedules: list[Schedule] = field(default_factory=list[Schedule])

    def read(self, value: JsonValue) -> JobOptions:
        """The options a spec states, the defaults for those it does not; `schedules` holds the schedules then."""
        try:
            members = self._members(("x-job",), value, OPTIONS)
        except OptionError as error:
            self._note(("x-job",), error.rule, str(error))
            return JobOptions()
        members.pop("schedules", None)
        return replace(JobOptions(), **members)

    def _members(self, pointer: Pointer, value: JsonValue, readers: Mapping[str, _Reader]) -> dict[str, Any]:
        """What the readers make of the members of an object, by their Python names; what is wrong is left out."""
        if not isinstance(value, dict):
            raise OptionError(f"must be an object with {listed(readers)}, not {shown(value)}")
        found: dict[str, Any] = {}
        for key, member in value.items():
            if key not in readers:
                known = nearest(key, readers) or f"; use {listed(readers)}"
                owner = pointer[-1] if isinstance(pointer[-1], str) else "a schedule"
                self._note((*pointer, key), OPTION_UNKNOWN, f"{shown(key)} is not a key of {owner}{known}", at_key=True)
                continue
            name, read = readers[key]
            try:
                found[name] = read(self, (*pointer, key), member)
            except OptionError as error:
                self._note((*pointer, key), error.rule, str(error))
        return found

    def retry(self, pointer: Pointer, value: JsonValue) -> RetryPolicy:
        try:
            return replace(RetryPolicy(), **self._members(pointer, value, RETRY))
        except InvalidOptionError as error:
            raise OptionError(str(error)) from None

    def unique(self, pointer: Pointer, value: JsonValue) -> tuple[str, ...] | None:
        members = self._members(pointer, value, _UNIQUE)
        if isinstance(value, dict) and value.get("by", []) == []:
            message = 'must state "by": pointers into params, at least one; "" stands for all of them'
            raise OptionError(message, OPTION_MISSING)
        return members.get("by")

    def concurrency(self, pointer: Pointer, value: JsonValue) -> ConcurrencyLimit | None:
        members = self._members(pointer, value, CONCURRENCY)
        if isinstance(value, dict) and "limit" not in value:
            raise OptionError('must state "limit": the number of runs at one time', OPTION_MISSING)
        return ConcurrencyLimit(**members) if "limit" in members else None

    def rate(self, pointer: Pointer, value: JsonValue) -> RateLimit | None:
        members = self._members(pointer, value, RATE)
        if isinstance(value, dict) and not value.keys() >= {"limit", "per"}:
            message = 'must state "limit" and "per": how many starts within which time, such as 100 and "PT1M"'
            raise OptionError(message, OPTION_MISSING)
        return RateLimit(**members) if members.keys() >= {"limit", "per"} else None

    def retention(self, pointer: Pointer, value: JsonValue) -> Retention:
        return Retention(**self._members(pointer, value, RETENTION))

    def pointers(self, pointer: Pointer, value: JsonValue) -> tuple[str, ...]:
        """A list of different JSON pointers, each to something that params may hold."""
        if not isinstance(value, list) or len(value) > _LONGEST_LIST:
            raise OptionError(f"must be a list of JSON pointers into params, not {shown(value)}")
        for index, item in enumerate(value):
            if not isinstance(item, str) or (item and not item.startswith("/")):
                message = f'must be a JSON pointer into params such as "/to", not {shown(item)}'
                self._note((*pointer, index), OPTION_VALUE, message)
            elif item in value[:index]:
                self._note((*pointer, index), LISTED_TWICE, f"{shown(item)} is listed twice")
            elif (missing := self._what_is_missing(item)) is not None:
                message = f"{shown(item)} leads to nothing in params: {missing}"
                self._note((*pointer, index), POINTER_UNRESOLVED, message)
        return tuple(item for item in value if isinstance(item, str))

    def all_schedules(self, pointer: Pointer, value: JsonValue) -> None:
        if not isinstance(value, list) or len(value) > _LONGEST_LIST:
            raise OptionError(f"must be a list of schedules, not {shown(value)}")
        for index, item in enumerate(value):
            try:
                self._schedule((*pointer, index), item)
            except OptionError as error:
                self._note((*pointer, index), error.rule, str(error))

    def _schedule(self, pointer: Pointer, value: JsonValue) -> None:
        members = self._members(pointer, value, SCHEDULE)
        if not isinstance(value, dict):
            return
        for key in ("name", "cron"):
            if key not in value:
                self._note(pointer, OPTION_MISSING, f"a schedule must state {shown(key)}")
        if "params" not in value:
            self._check_params(pointer, {})
        # Without `fire_all` there is no limit to it; where `misfire` cannot be read, that is noted already.
        has_stray_limit = members.get("misfire") != Misfire.FIRE_ALL and members.pop("misfire_limit", None) is not None
        if has_stray_limit and ("misfire" in members or "misfire" not in value):
            self._note((*pointer, "misfireLimit"), OPTION_WITHOUT_EFFECT, 'goes only with "misfire": "fire_all"')
        if any(schedule.name == members.get("name") for schedule in self.schedules):
            message = f"a schedule named {shown(value['name'])} stands above; rename one of them"
            self._note((*pointer, "name"), NAME_TAKEN, message)
        elif members.keys() >= {"name", "cron"}:
            self.schedules.append(replace(Schedule(name="", cron=""), **members))

    def schedule_params(self, pointer: Pointer, value: JsonValue) -> str:
        self._check_params(pointer, value)
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)

    def _check_params(self, pointer: Pointer, value: JsonValue) -> None:
        for below, reason in self.fitting.misfits(self.params, self.file, value):
            message = f"params of this schedule do not fit the schema of params: {reason}"
            self._note((*pointer, *below), SCHEDULE_PARAMS_DO_NOT_FIT, message)

    def _what_is_missing(self, pointer: str) -> str | None:
        """What no value of params can have on the way along a pointer; None if some value can have all of it."""
        schemas = [(self.params, self.file)]
        for token in pointer.split("/")[1:]:
            key = token.replace("~1", "/").replace("~0", "~")
            known: list[str] = []
            below: list[tuple[JsonValue, str]] = []
            for schema, file in self._alternatives(schemas):
                below.extend((child, file) for child in _children(schema, key, known))
            if not below:
                return f"there is no {shown(key)}{nearest(key, known)}"
            schemas = below[:_LONGEST_LIST]
        return None

    def _alternatives(self, schemas: list[tuple[JsonValue, str]]) -> list[tuple[JsonValue, str]]:
        found: list[tuple[JsonValue, str]] = []
        for stated in schemas:
            schema, file = follow(self.fitting.library, *stated)
            branches = schema.get("anyOf", schema.get("oneOf")) if isinstance(schema, dict) else None
            if isinstance(branches, list):
                found.extend(follow(self.fitting.library, branch, file) for branch in branches)
            else:
                found.append((schema, file))
        return found

    def _note(self, pointer: Pointer, rule: Rule, message: str, *, at_key: bool = False) -> None:
        self.problems.append(self.document.problem(pointer, rule, message, at_key=at_key))


def _children(schema: JsonValue, key: str, known: list[str]) -> list[JsonValue]:
    """The schemas of what stands under a key; the names that would lead somewhere are added to `known`."""
    if not isinstance(schema, dict):
        return [True] if schema is True else []
    properties = schema.get("properties")
    if isinstance(properties, dict):
        known.extend(properties)
        if key in properties:
            return [properties[key]]
    more = schema.get("additionalProperties", False)
    if more is not False:
        return [more]
    items = schema.get("items", False)
    return [items] if key.isascii() and key.isdecimal() and items is not False else []


_Reader = tuple[str, Callable[[OptionsLint, Pointer, JsonValue], object]]


def _plain(name: str, read: Callable[[JsonValue], object]) -> _Reader:
    return name, lambda _, __, value: read(value)


OPTIONS: Mapping[str, _Reader] = {
    "version": _plain("version", read_integer(1, _HIGHEST_VERSION)),
    "queue": _plain("queue", read_name),
    "priority": _plain("priority", read_integer(LOWEST_PRIORITY, HIGHEST_PRIORITY)),
    "maxAttempts": _plain("max_attempts", read_integer(1, 10_000)),
    "timeout": _plain("timeout", read_timeout),
    "runIn": _plain("run_in", read_choice(RunIn)),
    "retry": ("retry", OptionsLint.retry),
    "unique": ("unique_by", OptionsLint.unique),
    "concurrency": ("concurrency", OptionsLint.concurrency),
    "rate": ("rate", OptionsLint.rate),
    "retention": ("retention", OptionsLint.retention),
    "redact": ("redact", OptionsLint.pointers),
    "schedules": ("schedules", OptionsLint.all_schedules),
}
RETRY: Mapping[str, _Reader] = {
    "backoff": _plain("backoff", read_choice(Backoff)),
    "initial": _plain("initial", read_duration),
    "max": _plain("maximum", read_duration),
    "jitter": _plain("jitter", read_share),
}
_UNIQUE: Mapping[str, _Reader] = {"by": ("by", OptionsLint.pointers)}
CONCURRENCY: Mapping[str, _Reader] = {
    "limit": _plain("limit", read_integer(1, HIGHEST_LIMIT)),
    "by": ("by", OptionsLint.pointers),
}
RATE: Mapping[str, _Reader] = {
    "limit": _plain("limit", read_integer(1, HIGHEST_LIMIT)),
    "per": _plain("per", read_period),
    "by": ("by", OptionsLint.pointers),
}
RETENTION: Mapping[str, _Reader] = {
    "completed": _plain("completed", read_duration),
    "failed": _plain("failed", read_duration),
    "cancelled": _plain("cancelled", read_duration),
}
SCHEDULE: Mapping[str, _Reader] = {
    "name": _plain("name", read_name),
    "cron": _plain("cron", read_cron),
    "timezone": _plain("timezone", read_timezone),
    "misfire": _plain("misfire", read_choice(Misfire)),
    "misfireLimit": _plain("misfire_limit", read_integer(1, HIGHEST_MISFIRE_LIMIT)),
    "params": ("params", OptionsLint.schedule_params),
}
