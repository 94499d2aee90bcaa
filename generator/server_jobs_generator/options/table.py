"""The options of `x-job`, from the descriptions of the records that keep them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from enum import StrEnum
from typing import Any

from server_jobs.domain.option_kinds import Choice, Flag, Group, Kind, ListOf, descriptions, option
from server_jobs.domain.options import JobOptions, Schedule

from ..problems.problem import nearest_of


class BreakSeverity(StrEnum):
    """The consequence of a breaking change."""

    ERROR = "error"
    WARNING = "warning"
    IGNORE = "ignore"


class PropertyNames(Kind):
    """Names of properties."""

    __slots__ = ()


class ColumnPointers(Kind):
    """JSON pointers to properties of params and result, at most `most`."""

    __slots__ = ("most",)

    def __init__(self, most: int) -> None:
        self.most = most


@dataclass(frozen=True, slots=True, kw_only=True)
class Compat:
    """The severity of a breaking change, by its direction."""

    queue: BreakSeverity = field(
        default=BreakSeverity.ERROR, metadata=option(Choice(BreakSeverity), "Queued jobs and the new handler.")
    )
    rollout: BreakSeverity = field(
        default=BreakSeverity.WARNING, metadata=option(Choice(BreakSeverity), "New jobs and older workers.")
    )
    store: BreakSeverity = field(
        default=BreakSeverity.ERROR, metadata=option(Choice(BreakSeverity), "Stored results and new readers.")
    )
    reader: BreakSeverity = field(
        default=BreakSeverity.ERROR, metadata=option(Choice(BreakSeverity), "New results and older readers.")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecOptions:
    """The options in `x-job`: `options` for the runtime, and those that only the generator needs.

    `compat`, `reserved`, `has_view` and `indexes` have the same meaning as in `JobSpec`.
    """

    options: JobOptions = field(default_factory=JobOptions)
    compat: Compat = field(
        default_factory=Compat,
        metadata=option(
            Group(Compat),
            "The severity of a breaking change of the spec: an error stops generation, a warning is printed.",
        ),
    )
    reserved: tuple[str, ...] = field(
        default=(), metadata=option(PropertyNames(), "Names that no property of params or result may have again.")
    )
    has_view: bool = field(
        default=True,
        metadata=option(
            Flag(),
            "Whether migrations create an SQL view of the job. Set it to false if the name, such as send_email_jobs, "
            "is taken.",
            key="view",
        ),
    )
    indexes: tuple[str, ...] = field(
        default=(),
        metadata=option(
            ColumnPointers(20),
            "Properties of params and result whose column in the SQL view gets an index. Each index makes writes a "
            "little slower.",
        ),
    )
    schedules: tuple[Schedule, ...] = field(
        default=(), metadata=option(ListOf(Schedule), "Recurring jobs.", elsewhere=("cron", "schedule"))
    )


class Members(Kind):
    """An object in `x-job` whose members are options of the record around it. The first one is required.

    `missing` completes the error about an object that lacks it.
    """

    __slots__ = ("members", "missing")

    def __init__(self, missing: str) -> None:
        self.missing = missing
        self.members: dict[str, Option] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """An option: its `key` in a spec, and the `name` of its field in `record`, which is "" for `Members`.

    `default` is the value of the field without it. `option` in the runtime explains the others.
    """

    key: str
    name: str
    record: type[Any]
    kind: Kind
    words: str
    default: object
    is_required: bool = False
    label: str | None = None
    fact: str = "{}"
    elsewhere: tuple[str, ...] = ()
    only_with: tuple[str, StrEnum] | None = None


Table = Mapping[str, Option]
"""Options by their keys."""


_TABLES: dict[type[Any], Table] = {}


def options_of(record: type[Any]) -> Table:
    """Return the options that the fields of a dataclass describe."""
    if record in _TABLES:
        return _TABLES[record]
    found: dict[str, Option] = {}
    members: dict[str, Members] = {}
    defaults = {one.name: _default(one) for one in fields(record)}
    for name, about in descriptions(record).items():
        key = about.key or _camel_case(name)
        into, inside = found, about.inside
        if inside is not None:
            around = members.setdefault(inside.key, Members(inside.missing))
            found[inside.key] = Option(
                key=inside.key, name="", record=record, kind=around, words=inside.words, default=None
            )
            into = around.members
        into[key] = Option(
            key=key,
            name=name,
            record=record,
            kind=about.kind,
            words=about.words,
            default=defaults[name],
            is_required=defaults[name] is MISSING or (inside is not None and not into),
            label=about.label,
            fact=about.fact,
            elsewhere=about.elsewhere,
            only_with=about.only_with,
        )
    return _TABLES.setdefault(record, found)


def flat_options(record: type[Any]) -> Iterator[Option]:
    """Yield the options that the fields of a dataclass describe, those in an object of `Members` by themselves."""
    for one in options_of(record).values():
        yield from one.kind.members.values() if isinstance(one.kind, Members) else (one,)


def members_of(kind: Kind) -> Table:
    """Return the options inside an object of this kind; none for other kinds."""
    match kind:
        case Members():
            return kind.members
        case Group() | ListOf():
            return options_of(kind.record)
        case _:
            return {}


def option_meant(key: str, table: Table, others: Iterable[str] = ()) -> str | None:
    """Return the key of `table`, or one of `others`, that is meant by a misspelled key or a name of another queue."""
    elsewhere = dict(_names_elsewhere(table))
    return elsewhere.get(key) or nearest_of(key, {*table, *others})


def _names_elsewhere(table: Table) -> Iterator[tuple[str, str]]:
    for key, one in table.items():
        inner = one.kind.members.values() if isinstance(one.kind, Members) else ()
        yield from ((name, key) for each in (one, *inner) for name in each.elsewhere)


def _default(of: Field[Any]) -> object:
    return of.default if of.default_factory is MISSING else of.default_factory()


def _camel_case(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


OPTIONS: Table = {**options_of(JobOptions), **options_of(SpecOptions)}
"""The options of `x-job`."""
