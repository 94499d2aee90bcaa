"""Read `x-job`, the options of a job in its spec, into the options of the runtime."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from pydantic import JsonValue
from server_jobs.contract.slot_params import SAMPLE_SLOT, fill_slot
from server_jobs.contract.values import pointer_to
from server_jobs.domain.options import (
    HIGHEST_LIMIT,
    HIGHEST_MISFIRE_LIMIT,
    HIGHEST_PRIORITY,
    LOWEST_PRIORITY,
    WORKER,
    ConcurrencyLimit,
    JobOptions,
    Misfire,
    OnConflict,
    RateLimit,
    Retention,
    Schedule,
)
from server_jobs.domain.retry import Backoff, RetryPolicy
from server_jobs.errors import ScheduleError

from ..problems.problem import SpecProblem, did_you_mean, listed, nearest, nearest_of, shown
from ..problems.rules import (
    LISTED_TWICE,
    NAME_TAKEN,
    OPTION_MISSING,
    OPTION_UNKNOWN,
    OPTION_VALUE,
    OPTION_WITHOUT_EFFECT,
    POINTER_UNRESOLVED,
    SCHEDULE_PARAMS_DO_NOT_FIT,
    TOO_LARGE,
    TOO_MANY_PROBLEMS,
    Mistake,
    Rule,
)
from ..python.names import folded
from ..read.document import MAX_PROBLEMS, Document, Pointer
from ..read.file_report import TooManyProblemsError
from ..read.keywords import Schema
from ..sql import OWN_COLUMNS, PARTS, ColumnType, can_be_indexed, redacted_properties, typed_properties
from .meaning_lint import Fitting
from .option_values import (
    INDEX_EXAMPLE,
    BreakSeverity,
    OptionError,
    read_choice,
    read_cron,
    read_duration,
    read_expiry,
    read_flag,
    read_indexes,
    read_integer,
    read_name,
    read_period,
    read_place,
    read_share,
    read_status,
    read_timeout,
    read_timezone,
)
from .params_pointers import ParamsPointers
from .place_options import all_options, owners, place_option_problems
from .shard_lint import redaction_mistake, shard_pointer_mistake, unsharded_keys

_LONGEST_LIST = 1_000
_LONGEST_POINTER = 500
_HIGHEST_VERSION = 2**31 - 1

_AS_ELSEWHERE: Mapping[str, str] = {
    **dict.fromkeys(("retries", "maxRetries", "max_retries", "attempts", "tries"), "maxAttempts"),
    **dict.fromkeys(("cron", "schedule"), "schedules"),
    **dict.fromkeys(("backoff", "retryPolicy", "retryDelay"), "retry"),
    **dict.fromkeys(("ttl", "expires", "expireIn", "maxAge", "deadline"), "expiresAfter"),
    **dict.fromkeys(("rateLimit", "throttle"), "rate"),
    **dict.fromkeys(("uniqueBy", "uniqueKey", "dedupe"), "unique"),
    **dict.fromkeys(("shard", "shardKey", "partitionBy", "tenantBy"), "shardBy"),
}
"""Names of the same options in other queues."""
_PLACE: Pointer = ("x-job", "indexes")
# The limit of PostgreSQL. SQLite takes 2,000 columns, D1 100: see `flat_sql`.
_MOST_COLUMNS = 1_600


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecOptions:
    """The options in `x-job`, for the runtime and for the generator.

    `compat`, `reserved`, `has_view` and `indexes` have the same meaning as in `JobSpec`.
    """

    options: JobOptions = field(default_factory=JobOptions)
    schedules: tuple[Schedule, ...] = ()
    compat: Mapping[str, str] = field(default_factory=dict[str, str])
    reserved: tuple[str, ...] = ()
    has_view: bool = True
    indexes: tuple[str, ...] = ()


_FOR_THE_GENERATOR = frozenset(each.name for each in fields(SpecOptions)) - {"options"}


@dataclass(slots=True)
class OptionsLint:
    """Reads the `x-job` of one spec. `params` is the schema that the params of schedules must fit."""

    document: Document
    file: str
    params: JsonValue
    fitting: Fitting
    problems: list[SpecProblem] = field(default_factory=list[SpecProblem])
    pointers_into_params: ParamsPointers = field(init=False)

    def __post_init__(self) -> None:
        self.pointers_into_params = ParamsPointers(self.params, self.file, self.fitting)

    def read(self, value: JsonValue) -> SpecOptions:
        """Return the stated options, with defaults for the others."""
        stated = value if isinstance(value, dict) else {}
        place_options = {key: one for key, one in stated.items() if key not in OPTIONS and owners(key)}
        own: JsonValue = {key: one for key, one in stated.items() if key not in place_options} if stated else value
        try:
            members = self._members(("x-job",), own, OPTIONS)
            for pointer, rule, message in place_option_problems(
                stated.get("runIn", WORKER), place_options, self.fitting, self.file
            ):
                self._note(("x-job", *pointer), rule, message, at_key=rule is OPTION_UNKNOWN)
        except OptionError as error:
            self._note(("x-job",), error.rule, str(error))
            return SpecOptions()
        except TooManyProblemsError:
            message = f"has {len(self.problems)} problems or more; the rest is not shown"
            self.problems.append(self.document.problem(("x-job",), TOO_MANY_PROBLEMS, message))
            return SpecOptions()
        if members.get("retired") and members.get("schedules"):
            self._note(("x-job", "schedules"), OPTION_WITHOUT_EFFECT, "a retired job is not scheduled; remove them")
        ours = {name: member for name, member in members.items() if name in _FOR_THE_GENERATOR}
        rest = {name: member for name, member in members.items() if name not in ours}
        rest |= rest.pop("unique", {})
        shard_by = rest.pop("shard_by", None)
        if place_options and rest.get("run_in") in owners(next(iter(place_options))):
            rest["place_options"] = place_options
        options = replace(JobOptions(), **rest)
        if shard_by is not None and self._may_shard(options, shard_by):
            options = replace(options, shard_by=shard_by)
        return SpecOptions(options=options, **ours)

    def _members(self, pointer: Pointer, value: JsonValue, readers: Mapping[str, _Reader]) -> dict[str, Any]:
        """Read the members of an object by their Python names. Report invalid members and leave them out."""
        if not isinstance(value, dict):
            raise OptionError(f"must be an object with {listed(readers)}, not {shown(value)}")
        found: dict[str, Any] = {}
        for key, member in value.items():
            if key not in readers:
                meant = option_meant(key) if readers is OPTIONS else nearest_of(key, readers)
                known = did_you_mean(meant) or f"; use {listed(readers)}"
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
        members, unsaid = self._members(pointer, value, RETRY), RetryPolicy()
        initial, longest = members.get("initial", unsaid.initial), members.get("maximum", unsaid.maximum)
        if initial > longest:
            stated = value if isinstance(value, dict) else {}
            said = {
                key: f"{key} {stated[key]}" if key in stated else f"{key}, which is {default} if it is not stated,"
                for key, default in (("initial", "PT2S"), ("max", "PT10M"))
            }
            message = (
                f"{said['initial']} is longer than {said['max'].removesuffix(',')}; no delay may be longer than max"
            )
            self._note((*pointer, "initial" if "initial" in stated else "max"), OPTION_VALUE, message)
            return unsaid
        return replace(unsaid, **members)

    def unique(self, pointer: Pointer, value: JsonValue) -> dict[str, object]:
        members = self._members(pointer, value, _UNIQUE)
        if isinstance(value, dict) and value.get("by", []) == []:
            message = 'must state "by": pointers into params, at least one; "" stands for all of them'
            raise OptionError(message, OPTION_MISSING)
        return members

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

    def shard_by(self, _: Pointer, value: JsonValue) -> str:
        if mistake := shard_pointer_mistake(self.pointers_into_params, value):
            rule, message = mistake
            raise OptionError(message, rule)
        return str(value)

    def _may_shard(self, options: JobOptions, shard_by: str) -> bool:
        """Report the options that do not go with `shardBy`. Return whether there are none."""
        problems = list(unsharded_keys(options, shard_by))
        for pointer, message in problems:
            self._note(("x-job", *pointer), OPTION_VALUE, message)
        if (mistake := redaction_mistake(options, shard_by)) is not None:
            self._note(("x-job", "shardBy"), OPTION_VALUE, mistake)
        return not problems

    def retention(self, pointer: Pointer, value: JsonValue) -> Retention:
        return Retention(**self._members(pointer, value, RETENTION))

    def compatibility(self, pointer: Pointer, value: JsonValue) -> dict[str, str]:
        return {name: str(grave) for name, grave in self._members(pointer, value, COMPAT).items()}

    def names(self, pointer: Pointer, value: JsonValue) -> tuple[str, ...]:
        """Return the property names in this list. Report items that are no text or appear twice.

        Raises `OptionError` if it is no list or has too many items.
        """
        if not isinstance(value, list) or len(value) > _LONGEST_LIST:
            raise OptionError(f"must be a list of names of properties, not {shown(value)}")
        for index, item in enumerate(value):
            if not isinstance(item, str):
                self._note((*pointer, index), OPTION_VALUE, f"must be the name of a property, not {shown(item)}")
            elif item in value[:index]:
                self._note((*pointer, index), LISTED_TWICE, f"{shown(item)} is listed twice")
        return tuple(item for item in value if isinstance(item, str))

    def pointers(self, pointer: Pointer, value: JsonValue) -> tuple[str, ...]:
        """Read a list of different JSON pointers, each to a possible value in params."""
        if not isinstance(value, list) or len(value) > _LONGEST_LIST:
            raise OptionError(f'must be a list of JSON pointers into params such as ["/to"], not {shown(value)}')
        for index, item in enumerate(value):
            if not isinstance(item, str) or (item and not item.startswith("/")):
                meant = self.pointers_into_params.meant(item) if isinstance(item, str) else None
                message = f'must be a JSON pointer into params such as "/to", not {shown(item)}{did_you_mean(meant)}'
                self._note((*pointer, index), OPTION_VALUE, message)
            elif item in value[:index]:
                self._note((*pointer, index), LISTED_TWICE, f"{shown(item)} is listed twice")
            elif len(item) > _LONGEST_POINTER:
                message = f"{shown(item)} has more than {_LONGEST_POINTER} characters"
                self._note((*pointer, index), TOO_LARGE, message)
            elif (missing := self.pointers_into_params.missing(item)) is not None:
                meant = did_you_mean(self.pointers_into_params.meant(item))
                message = f"{shown(item)} leads to nothing in params: {missing}{meant}"
                self._note((*pointer, index), POINTER_UNRESOLVED, message)
        return tuple(item for item in value if isinstance(item, str))

    def all_schedules(self, pointer: Pointer, value: JsonValue) -> tuple[Schedule, ...]:
        if not isinstance(value, list) or len(value) > _LONGEST_LIST:
            raise OptionError(f"must be a list of schedules, not {shown(value)}")
        schedules: list[Schedule] = []
        for index, item in enumerate(value):
            try:
                schedules += self._schedule((*pointer, index), item, schedules)
            except OptionError as error:
                self._note((*pointer, index), error.rule, str(error))
        return tuple(schedules)

    def _schedule(self, pointer: Pointer, value: JsonValue, above: Sequence[Schedule]) -> Iterator[Schedule]:
        """Yield the schedule if it is valid; `above` are the schedules before it."""
        members = self._members(pointer, value, SCHEDULE)
        if not isinstance(value, dict):
            return
        for key in ("name", "cron"):
            if key not in value:
                self._note(pointer, OPTION_MISSING, f"a schedule must state {shown(key)}")
        if "params" not in value:
            self._check_params(pointer, {})
        # Without `fire_all` no limit applies. An invalid `misfire` is already reported.
        has_stray_limit = members.get("misfire") != Misfire.FIRE_ALL and members.pop("misfire_limit", None) is not None
        if has_stray_limit and ("misfire" in members or "misfire" not in value):
            self._note((*pointer, "misfireLimit"), OPTION_WITHOUT_EFFECT, 'works only with "misfire": "fire_all"')
        name = members.get("name", "")
        other = next((each.name for each in above if folded(each.name) == folded(name)), None)
        if other is not None:
            message = f"a schedule named {shown(other)} stands above; rename one of them"
            self._note((*pointer, "name"), NAME_TAKEN, message)
        elif members.keys() >= {"name", "cron"}:
            yield replace(Schedule(name="", cron=""), **members)

    def schedule_params(self, pointer: Pointer, value: JsonValue) -> str:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
        try:
            filled = fill_slot(text, SAMPLE_SLOT, "UTC")
        except ScheduleError as error:
            raise OptionError(str(error)) from None
        self._check_params(pointer, value if filled is text else json.loads(filled))
        return text

    def _check_params(self, pointer: Pointer, value: JsonValue) -> None:
        for below, reason in self.fitting.violations(self.params, self.file, value):
            path = pointer_to(below)
            is_known = self.pointers_into_params.missing(path) is None
            meant = did_you_mean(None if is_known else self.pointers_into_params.meant(path))
            message = f"params of this schedule do not fit the schema of params: {reason}{meant}"
            self._note((*pointer, *below), SCHEDULE_PARAMS_DO_NOT_FIT, message)

    def _note(self, pointer: Pointer, rule: Rule, message: str, *, at_key: bool = False) -> None:
        self.problems.append(self.document.problem(pointer, rule, message, at_key=at_key))
        if len(self.problems) >= MAX_PROBLEMS:
            raise TooManyProblemsError


def option_meant(key: str, others: Iterable[str] = ()) -> str | None:
    """Return the key of `x-job`, or one of `others`, that looks like a misspelled key."""
    return _AS_ELSEWHERE.get(key) or nearest_of(key, {*OPTIONS, *all_options(), *others})


_Reader = tuple[str, Callable[[OptionsLint, Pointer, JsonValue], object]]


def _plain(name: str, read: Callable[[JsonValue], object]) -> _Reader:
    return name, lambda _, __, value: read(value)


OPTIONS: Mapping[str, _Reader] = {
    "version": _plain("version", read_integer(1, _HIGHEST_VERSION)),
    "queue": _plain("queue", read_name),
    "priority": _plain("priority", read_integer(LOWEST_PRIORITY, HIGHEST_PRIORITY)),
    "maxAttempts": _plain("max_attempts", read_integer(1, 10_000)),
    "timeout": _plain("timeout", read_timeout),
    "expiresAfter": _plain("expires_after", read_expiry),
    "runIn": _plain("run_in", read_place),
    "retry": ("retry", OptionsLint.retry),
    "unique": ("unique", OptionsLint.unique),
    "concurrency": ("concurrency", OptionsLint.concurrency),
    "rate": ("rate", OptionsLint.rate),
    "shardBy": ("shard_by", OptionsLint.shard_by),
    "retention": ("retention", OptionsLint.retention),
    "redact": ("redact", OptionsLint.pointers),
    "status": _plain("retired", read_status),
    "compat": ("compat", OptionsLint.compatibility),
    "reserved": ("reserved", OptionsLint.names),
    "view": _plain("has_view", read_flag),
    "indexes": _plain("indexes", read_indexes),
    "schedules": ("schedules", OptionsLint.all_schedules),
}

COMPAT: Mapping[str, _Reader] = {
    name: _plain(name, read_choice(BreakSeverity)) for name in ("queue", "rollout", "store", "reader")
}
RETRY: Mapping[str, _Reader] = {
    "backoff": _plain("backoff", read_choice(Backoff)),
    "initial": _plain("initial", read_duration),
    "max": _plain("maximum", read_duration),
    "jitter": _plain("jitter", read_share),
}
_UNIQUE: Mapping[str, _Reader] = {
    "by": ("unique_by", OptionsLint.pointers),
    "onConflict": _plain("on_conflict", read_choice(OnConflict)),
}
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


def view_problems(
    document: Document, parts: Mapping[str, Schema], redact: Iterable[str], *, has_view: bool
) -> Iterator[SpecProblem]:
    """Yield a problem if the view has too many columns. `parts` are the self-contained params and result schemas."""
    hidden, params = redacted_properties(redact), typed_properties(parts["params"]).keys()
    shown_params = frozenset[str]() if hidden is None else params - hidden
    count = len(OWN_COLUMNS) + len(shown_params) + len(typed_properties(parts["result"]))
    if has_view and count > _MOST_COLUMNS:
        message = f"its view would have {count:,} columns, and PostgreSQL takes {_MOST_COLUMNS:,}"
        yield document.problem(("x-job",), TOO_LARGE, f'{message}; set "view": false in x-job')


def index_problems(
    document: Document, indexes: Sequence[str], parts: Mapping[str, Schema], redact: Iterable[str], *, has_view: bool
) -> Iterator[SpecProblem]:
    """Yield problems of the pointers. `parts` are the self-contained params and result schemas."""
    if indexes and not has_view:
        message = 'needs the view, whose columns get the indexes; remove "view": false'
        yield document.problem(_PLACE, OPTION_WITHOUT_EFFECT, message, at_key=True)
        return
    columns = {part: typed_properties(parts[part]) for part in PARTS}
    hidden = redacted_properties(redact)
    known = [pointer_to((part, name)) for part in PARTS for name in columns[part]]
    for index, pointer in enumerate(indexes):
        mistake = _mistake(pointer, columns, hidden, known)
        if mistake is not None:
            yield document.problem((*_PLACE, index), *mistake)


def _mistake(
    pointer: str, columns: Mapping[str, Mapping[str, ColumnType]], hidden: frozenset[str] | None, known: list[str]
) -> Mistake | None:
    part, _, token = pointer.removeprefix("/").partition("/")
    if part not in columns or not pointer.startswith("/"):
        meant = [one for one in known if one == f"/params{pointer}"]
        hint = f" (did you mean {shown(meant[0])}?)" if meant else nearest(pointer, known)
        places = listed(f"/{each}/" for each in columns)
        return POINTER_UNRESOLVED, f"must start with {places}, {INDEX_EXAMPLE}, not {shown(pointer)}{hint}"
    name = token.replace("~1", "/").replace("~0", "~")
    if "/" not in token and name not in columns[part]:
        return POINTER_UNRESOLVED, f"{shown(pointer)} leads to no property of {part}{nearest(pointer, known)}"
    reason = _refusal(part, token, name, columns[part], hidden)
    return None if reason is None else (OPTION_VALUE, f"{shown(pointer)} {reason}")


def _refusal(
    part: str, token: str, name: str, types: Mapping[str, ColumnType], hidden: frozenset[str] | None
) -> str | None:
    if "/" in token:
        return f"leads below a property; only properties of {part} itself are columns of the view"
    if part == "params" and (hidden is None or name in hidden):
        return "is redacted, or contains a redacted value; an index would store it"
    if types[name] is ColumnType.JSON:
        return "is an array, an object or of several types; only single values have an index"
    if not can_be_indexed(name):
        return "has a quote, a backslash or an invisible character in its name, which an index does not support"
    return None
