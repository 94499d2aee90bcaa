"""The ways in which a handler uses a model."""

from __future__ import annotations

from dataclasses import dataclass

from .source import Span

ClassKey = tuple[str, str]
"""The spec whose models a class belongs to, and its name."""


@dataclass(frozen=True, slots=True)
class Mention:
    """The name of a class: in an import, in a type, in a call."""

    key: ClassKey
    span: Span


@dataclass(frozen=True, slots=True)
class Importing:
    """The name of a module of models in an import; `is_bound` where the code goes by that name from then on."""

    key: ClassKey
    span: Span
    is_bound: bool


@dataclass(frozen=True, slots=True)
class Reading:
    """An attribute that is read: `text` is the whole expression. It is guarded where the code looks for None."""

    key: ClassKey
    field: str
    span: Span
    text: str
    is_guarded: bool


@dataclass(frozen=True, slots=True)
class Argument:
    """A keyword of a call: its name, the whole of it, and what has to go with it when it is taken out."""

    field: str
    span: Span
    removal: Span


@dataclass(frozen=True, slots=True)
class Making:
    """A call that makes an instance. It is open when `**` may pass further arguments."""

    key: ClassKey
    span: Span
    arguments: tuple[Argument, ...]
    is_open: bool


@dataclass(frozen=True, slots=True)
class Matching:
    """A field that a pattern of `match` names."""

    key: ClassKey
    field: str
    span: Span


@dataclass(frozen=True, slots=True)
class Choosing:
    """A constant that a field is compared with, or is given; `value` as it is written in Python."""

    key: ClassKey
    field: str
    span: Span
    value: str


Use = Mention | Importing | Reading | Making | Matching | Choosing
