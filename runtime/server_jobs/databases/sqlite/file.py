"""The database file: create it for its owner only, and notice when it is deleted or replaced."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from ...errors import DatabaseError

_Identity = tuple[int, int]
_OWNER_ONLY = 0o600


def create_private_file(path: str) -> None:
    """Create the database file with mode 0600, unless it exists.

    SQLite gives its companion files (-wal, -shm and -journal) the same mode.
    """
    if path in ("", ":memory:"):
        return
    with suppress(OSError):  # it exists, or SQLite will report why it cannot be created
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, _OWNER_ONLY))


class OpenFile:
    """The open files of a connection: the database and its WAL.

    If one of them is deleted or replaced, SQLite continues to write to the old file, which is lost.
    """

    def __init__(self, path: str) -> None:
        self._path = str(Path(path).absolute())
        self._database = _identity(self._path)
        self._wal = _identity(f"{self._path}-wal")

    def check(self) -> None:
        """Raise `DatabaseError` if the database or its WAL is no longer the file that was opened."""
        _check(self._path, self._database)
        self._wal = _check(f"{self._path}-wal", self._wal)

    def check_reopening(self) -> None:
        """Raise `DatabaseError` if the file is missing, or is a new file next to the WAL of the old one.

        SQLite would create a missing file, and would write the old WAL into a new one.
        """
        found = _identity(self._path)
        if found is None:
            raise _lost(self._path, "deleted")
        if found != self._database and self._wal is not None and self._wal == _identity(f"{self._path}-wal"):
            raise _lost(self._path, "replaced by another file")


def _check(path: str, opened: _Identity | None) -> _Identity | None:
    found = _identity(path)
    if opened is not None and found != opened:
        raise _lost(path, "deleted" if found is None else "replaced by another file")
    return found


def _identity(path: str) -> _Identity | None:
    try:
        found = os.stat(path)  # noqa: PTH116  once per transaction
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _lost(path: str, change: str) -> DatabaseError:
    return DatabaseError(
        f"the SQLite file {path} was {change} while it was in use, and nothing was stored; stop all processes that use "
        "the database, put the right file in its place without the -wal and -shm of another (or create one with "
        "`server-jobs migrate`), and start again"
    )
