"""The revisions of a project inside a Durable Object: its object applies them itself, at its next call after a deploy.

They are recorded as `server-jobs migrate` does it, so that `server-jobs doctor` reads them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from server_jobs.domain.table_names import VERSION_TABLE
from server_jobs.errors import DatabaseError

from .durable_object import DurableObjectDatabase

_ID = re.compile(r"^-- (server_jobs_\w+) as plain SQL", re.MULTILINE)
_PARENTS = re.compile(r"^-- Follows: (.*)$", re.MULTILINE)
_TABLE = f"CREATE TABLE IF NOT EXISTS {VERSION_TABLE} (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"
_RECORDED = f"SELECT version_num FROM {VERSION_TABLE}"  # noqa: S608
_FORGET = f"DELETE FROM {VERSION_TABLE}"  # noqa: S608
_RECORD = f"INSERT INTO {VERSION_TABLE} (version_num) VALUES (?1)"  # noqa: S608
_EXISTS = f"SELECT 1 AS found FROM sqlite_master WHERE name = '{VERSION_TABLE}'"  # noqa: S608


@dataclass(frozen=True, slots=True)
class ObjectRevision:
    """One revision: its id, the ids of the revisions before it, and its SQL."""

    id: str
    parents: tuple[str, ...]
    sql: str


def revisions_in(files: Mapping[str, str]) -> tuple[ObjectRevision, ...]:
    """Return the revisions in these SQL files, each after the revisions that it follows.

    Raises `DatabaseError` for a file whose head does not name its revision.
    """
    return tuple(_revision(name, files[name]) for name in sorted(files))


def newest(revisions: Iterable[ObjectRevision]) -> list[str]:
    """Return the ids of the newest revisions, sorted. There are several after a merge, until the next `generate`."""
    listed = list(revisions)
    followed = {parent for one in listed for parent in one.parents}
    return sorted(one.id for one in listed if one.id not in followed)


class ObjectSchema:
    """The tables in one object."""

    def __init__(self, database: DurableObjectDatabase, revisions: Sequence[ObjectRevision]) -> None:
        self._database = database
        self._revisions = revisions

    @property
    def exists(self) -> bool:
        """Whether revisions ran in this object. Writes nothing."""
        return bool(self._database.execute(_EXISTS))

    def upgrade(self) -> None:
        """Run the missing revisions in one transaction. Raises `DatabaseError`; nothing is changed then.

        Does nothing in an object at a revision of a newer release, as after a rollback of the Worker.
        """
        recorded = self._recorded()
        known = {one.id: one for one in self._revisions}
        if recorded - set(known):
            return
        done = _with_ancestors(recorded, known)
        missing = [one for one in self._revisions if one.id not in done]
        if missing:
            self._database.transaction(lambda: self._run(missing))

    def _recorded(self) -> frozenset[str]:
        rows = self._database.execute(_RECORDED) if self.exists else []
        return frozenset(str(row["version_num"]) for row in rows)

    def _run(self, revisions: Sequence[ObjectRevision]) -> None:
        self._database.execute(_TABLE)
        for one in revisions:
            self._database.execute(one.sql)
        self._database.execute(_FORGET)
        for one_id in newest(self._revisions):
            self._database.execute(_RECORD, [one_id])


def _revision(name: str, text: str) -> ObjectRevision:
    found, stated = _ID.search(text), _PARENTS.search(text)
    if found is None or stated is None:
        raise DatabaseError(f"{name} does not say which revision it is and follows; restore it from version control")
    return ObjectRevision(found[1], tuple(one for one in stated[1].split(", ") if one != "nothing"), text)


def _with_ancestors(ids: Iterable[str], known: Mapping[str, ObjectRevision]) -> frozenset[str]:
    found, rest = set[str](), list(ids)
    while rest:
        one = rest.pop()
        if one not in found:
            found.add(one)
            rest += known[one].parents
    return frozenset(found)
