"""Something that migrations create and drop beside the tables: a view, an index on one of its columns, a function."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

VIEW, INDEX, FUNCTION = "VIEW", "INDEX", "FUNCTION"

_NAME = r'(?P<name>"(?:[^"]|"")+"|\w+)'
_CREATE = re.compile(rf"CREATE (?P<kind>VIEW|INDEX|FUNCTION) {_NAME}(?P<arguments>\([^)]*\))?")
_DROP = re.compile(rf"DROP (?P<kind>VIEW|INDEX|FUNCTION) {_NAME}")

Key = tuple[str, str]
"""The kind and the name, quoted where it has to be."""


@dataclass(frozen=True, slots=True)
class SqlObject:
    """One object by the statement that creates it, which has to be one of ours."""

    create: str

    @property
    def key(self) -> Key:
        """What tells it from the others."""
        match = _CREATE.match(self.create)
        if match is None:
            raise ValueError(f"{self.create!r} creates no view, index or function")
        return match["kind"], match["name"]

    @property
    def drop(self) -> str:
        """The statement that drops it."""
        match = _CREATE.match(self.create)
        return f"DROP {' '.join(self.key)}{match['arguments'] or '' if match and self.key[0] == FUNCTION else ''}"


def after(statements: Iterator[str] | Sequence[str]) -> tuple[SqlObject, ...]:
    """What is there after these statements, in the order of its creation; statements of others do not matter."""
    found: dict[Key, SqlObject] = {}
    for statement in map(str.strip, statements):
        if _CREATE.match(statement):
            one = SqlObject(statement)
            found[one.key] = one
        elif match := _DROP.match(statement):
            found.pop((match["kind"], match["name"]), None)
    return tuple(found.values())


def changes(before: Sequence[SqlObject], wanted: Sequence[SqlObject]) -> Iterator[str]:
    """The statements that lead from one set to the other, and touch what is in both only where they have to.

    Views and indexes use the functions, so another function means that all of them are made anew.
    """
    is_same_base = _functions(before) == _functions(wanted)
    kept = {*before} & {*wanted} if is_same_base else set[SqlObject]()
    yield from (one.drop for one in reversed(before) if one not in kept)
    yield from (one.create for one in wanted if one not in kept)


def _functions(objects: Sequence[SqlObject]) -> set[SqlObject]:
    return {one for one in objects if one.key[0] == FUNCTION}
