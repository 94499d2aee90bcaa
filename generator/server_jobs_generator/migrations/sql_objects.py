"""A view, an index of its columns, a function, or the constraint of rows, which migrations create and drop."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass

VIEW, INDEX, FUNCTION, CONSTRAINT = "VIEW", "INDEX", "FUNCTION", "CONSTRAINT"

_NAME = r'(?P<name>"(?:[^"]|"")+"|\w+)'
_CREATE = re.compile(rf"CREATE (?:OR REPLACE )?(?P<kind>VIEW|INDEX|FUNCTION) {_NAME}(?P<arguments>\([^)]*\))?")
_ADD = re.compile(rf"ALTER TABLE jobs ADD (?P<kind>CONSTRAINT) {_NAME}(?P<arguments>)")
_DROP = re.compile(rf"(?:ALTER TABLE jobs )?DROP (?P<kind>VIEW|INDEX|FUNCTION|CONSTRAINT) (?:IF EXISTS )?{_NAME}")

Key = tuple[str, str]
"""The kind and the name, quoted if necessary."""


@dataclass(frozen=True, slots=True)
class SqlObject:
    """One object, defined by the statement that creates it."""

    create: str

    @property
    def key(self) -> Key:
        """Return the kind and the name, which identify the object."""
        match = _created(self.create)
        if match is None:
            raise ValueError(f"{self.create!r} creates no view, index, function or constraint")
        return match["kind"], match["name"]

    @property
    def drop(self) -> str:
        """Return the statement that drops it if it exists."""
        kind, name = self.key
        match = _created(self.create)
        arguments = match["arguments"] or "" if match and kind == FUNCTION else ""
        return drop_statement(kind, f"{name}{arguments}")

    @property
    def replacement(self) -> str:
        """Return the statement that creates it. For a function it replaces an earlier one, which may be in use."""
        is_function = self.key[0] == FUNCTION
        return self.create.replace("CREATE", "CREATE OR REPLACE", 1) if is_function else self.create


def after(statements: Iterator[str] | Sequence[str]) -> tuple[SqlObject, ...]:
    """Return the objects that exist after these statements, in order of creation. Other statements are ignored."""
    found: dict[Key, SqlObject] = {}
    for statement in map(str.strip, statements):
        if key := touched(statement):
            found.pop(key, None)
            if _created(statement):
                found[key] = SqlObject(statement.replace("CREATE OR REPLACE", "CREATE", 1))
    return tuple(found.values())


def touched(statement: str) -> Key | None:
    """Return the object that a statement creates or drops; None for any other statement."""
    match = _created(statement) or _DROP.match(statement)
    return None if match is None else (match["kind"], match["name"])


def changes(
    before: Sequence[SqlObject], wanted: Sequence[SqlObject], unsettled: Set[Key] = frozenset()
) -> Iterator[str]:
    """Yield the statements that drop and create objects, so that a database with `before` has the objects `wanted`.

    Objects in both sets stay as they are, except `unsettled` ones: a migration of another branch may have dropped or
    changed those. If a function changes, all objects are created again, because views and indexes use the functions.
    """
    is_same_base = _functions(before) == _functions(wanted)
    kept = {one for one in {*before} & {*wanted} if one.key not in unsettled} if is_same_base else set[SqlObject]()
    new = [one for one in wanted if one not in kept]
    made = {one.key for one in new}
    yield from (one.drop for one in reversed(before) if one not in kept and one.key not in made)
    yield from (
        drop_statement(kind, name) for kind, name in sorted(unsettled - {one.key for one in (*before, *wanted)})
    )
    yield from (one.drop for one in reversed(new) if one.key[0] != FUNCTION)
    yield from (one.replacement for one in new)


def drop_statement(kind: str, name: str) -> str:
    """Return the statement that drops an object if it exists."""
    table = "ALTER TABLE jobs " if kind == CONSTRAINT else ""
    return f"{table}DROP {kind} IF EXISTS {name}"


def _created(statement: str) -> re.Match[str] | None:
    return _CREATE.match(statement) or _ADD.match(statement)


def _functions(objects: Sequence[SqlObject]) -> set[SqlObject]:
    return {one for one in objects if one.key[0] == FUNCTION}
