"""Read `x-job`, the options of a job in its spec, into the options of the runtime."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import JsonValue
from server_jobs.contract.slot_params import SAMPLE_SLOT, fill_slot
from server_jobs.contract.values import pointer_to
from server_jobs.domain.option_kinds import Group, ListOf, ParamsText, Pointers, ShardPointer
from server_jobs.domain.options import WORKER, JobOptions, RetryPolicy, Schedule
from server_jobs.errors import InvalidOptionError, ScheduleError

from ..options.durations import duration
from ..options.option_error import OptionError
from ..options.places import all_options, owners
from ..options.table import OPTIONS, Members, Option, PropertyNames, SpecOptions, Table, option_meant, options_of
from ..options.values import read_value
from ..problems.problem import SpecProblem, did_you_mean, listed, shown
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
    Rule,
)
from ..python.names import folded
from ..read.document import MAX_PROBLEMS, Document, Pointer
from ..read.file_report import TooManyProblemsError
from .meaning_lint import Fitting
from .params_pointers import ParamsPointers
from .place_options import place_option_problems
from .shard_lint import redaction_mistake, shard_pointer_mistake, unsharded_keys

_LONGEST_LIST = 1_000
_LONGEST_POINTER = 500
_FOR_THE_GENERATOR = frozenset(one.name for one in options_of(SpecOptions).values())


@dataclass(slots=True)
class OptionReader:
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
        ours = {name: members.pop(name) for name in _FOR_THE_GENERATOR & members.keys()}
        shard_by = members.pop("shard_by", None)
        if place_options and members.get("run_in") in owners(next(iter(place_options))):
            members["place_options"] = place_options
        options = JobOptions(**members)
        if shard_by is not None and self._may_shard(options, shard_by):
            options = replace(options, shard_by=shard_by)
        return SpecOptions(options=options, **ours)

    def _members(self, pointer: Pointer, value: JsonValue, table: Table) -> dict[str, Any]:
        """Read the members of an object by their Python names. Report invalid members and leave them out."""
        if not isinstance(value, dict):
            raise OptionError(f"must be an object with {listed(table)}, not {shown(value)}")
        found: dict[str, Any] = {}
        for key, member in value.items():
            if key not in table:
                known = (
                    did_you_mean(option_meant(key, table, all_options() if table is OPTIONS else ()))
                    or f"; use {listed(table)}"
                )
                owner = pointer[-1] if isinstance(pointer[-1], str) else "a schedule"
                self._note((*pointer, key), OPTION_UNKNOWN, f"{shown(key)} is not a key of {owner}{known}", at_key=True)
                continue
            option = table[key]
            try:
                if isinstance(option.kind, Members):
                    found |= self._inside((*pointer, key), member, option.kind)
                else:
                    found[option.name] = self._value((*pointer, key), member, option)
            except OptionError as error:
                self._note((*pointer, key), error.rule, str(error))
        self._drop_idle(pointer, value, table, found)
        return found

    def _drop_idle(self, pointer: Pointer, value: Mapping[str, JsonValue], table: Table, found: dict[str, Any]) -> None:
        """Report options that have no effect without a value of another one, and remove them from the read ones."""
        by_name = {one.name: one for one in table.values()}
        for key, one in table.items():
            if one.only_with is None or one.name not in found:
                continue
            name, needed = one.only_with
            other = by_name[name]
            is_invalid = other.key in value and name not in found  # and already reported
            if found.get(name, other.default) != needed:
                del found[one.name]
                if not is_invalid:
                    message = f"works only with {shown(other.key)}: {shown(str(needed))}"
                    self._note((*pointer, key), OPTION_WITHOUT_EFFECT, message)

    def _value(self, pointer: Pointer, value: JsonValue, option: Option) -> object:
        """Return a value as the record keeps it. Raises `OptionError`."""
        match option.kind:
            case Group() as kind:
                return self._record(pointer, value, kind)
            case ListOf():
                return self.all_schedules(pointer, value)
            case Pointers():
                return self.pointers(pointer, value)
            case ShardPointer():
                return self.shard_by(value)
            case ParamsText():
                return self.schedule_params(pointer, value)
            case PropertyNames():
                return self.names(pointer, value)
            case _:
                return read_value(option, value)

    def _inside(self, pointer: Pointer, value: JsonValue, kind: Members) -> dict[str, Any]:
        """Return the fields of the record around an object by their names. Raises `OptionError`."""
        members = self._members(pointer, value, kind.members)
        _check_required(value, kind.members, kind.missing)
        return members

    def _record(self, pointer: Pointer, value: JsonValue, kind: Group) -> object:
        """Return the record of a group; None if a required member is invalid, which is already reported."""
        table = options_of(kind.record)
        members = self._members(pointer, value, table)
        _check_required(value, table, kind.missing)
        if any(one.is_required and one.name not in members for one in table.values()):
            return None
        if kind.record is RetryPolicy:
            self._drop_long_delay(pointer, value, members)
        try:
            return kind.record(**members)
        except InvalidOptionError as error:
            raise OptionError(str(error)) from None

    def _drop_long_delay(self, pointer: Pointer, value: JsonValue, members: dict[str, Any]) -> None:
        """Report a first delay that is longer than the longest one, and remove both."""
        unsaid = RetryPolicy()
        if members.get("initial", unsaid.initial) <= members.get("maximum", unsaid.maximum):
            return
        stated = value if isinstance(value, dict) else {}
        said = {
            key: f"{key} {stated[key]}" if key in stated else f"{key}, which is {default} if it is not stated,"
            for key, default in (("initial", duration(unsaid.initial)), ("max", duration(unsaid.maximum)))
        }
        message = f"{said['initial']} is longer than {said['max'].removesuffix(',')}; no delay may be longer than max"
        self._note((*pointer, "initial" if "initial" in stated else "max"), OPTION_VALUE, message)
        for name in ("initial", "maximum"):
            members.pop(name, None)

    def shard_by(self, value: JsonValue) -> str:
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
        members = self._members(pointer, value, options_of(Schedule))
        if not isinstance(value, dict):
            return
        for key in ("name", "cron"):
            if key not in value:
                self._note(pointer, OPTION_MISSING, f"a schedule must state {shown(key)}")
        if "params" not in value:
            self._check_params(pointer, {})
        name = members.get("name", "")
        other = next((each.name for each in above if folded(each.name) == folded(name)), None)
        if other is not None:
            message = f"a schedule named {shown(other)} stands above; rename one of them"
            self._note((*pointer, "name"), NAME_TAKEN, message)
        elif members.keys() >= {"name", "cron"}:
            yield Schedule(**members)

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


def _check_required(value: JsonValue, table: Table, missing: str) -> None:
    """Raise `OptionError` if an object lacks a required member, or if a list that needs items has none."""
    required = [key for key, one in table.items() if one.is_required]
    if isinstance(value, dict) and any(value.get(key, []) == [] for key in required):
        raise OptionError(f"must state {' and '.join(map(shown, required))}: {missing}", OPTION_MISSING)
