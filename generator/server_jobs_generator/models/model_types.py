"""The types that properties of models have, as plain values."""

from __future__ import annotations

from dataclasses import dataclass

Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Named:
    """A type by its name: a builtin, one of our formats, or the token of a planned class."""

    name: str


@dataclass(frozen=True, slots=True)
class Generic:
    """`list`, `dict` or `tuple` of other types."""

    name: str
    arguments: tuple[Type, ...]


@dataclass(frozen=True, slots=True)
class Union:
    """Any of several types."""

    members: tuple[Type, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several plain values."""

    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Limited:
    """A type with the keyword arguments of `Field` that limit it."""

    type: Type
    limits: tuple[tuple[str, Scalar], ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """A type with the JSON text of a schema that its values have to be checked against."""

    type: Type
    schema: str


Type = Named | Generic | Union | Choice | Limited | Checked


def members_of(one: Type) -> tuple[Type, ...]:
    """The members of a union, or the one type that is none."""
    return one.members if isinstance(one, Union) else (one,)
