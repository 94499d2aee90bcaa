"""Translate SQLite errors into errors with the file, the problem and advice."""

from __future__ import annotations

import sqlite3

from ...errors import DatabaseBusyError, DatabaseError, ValueTooLargeError

# Errors of statements: SQLite rejected them, cannot bind a value, or has too little memory.
REFUSALS = (sqlite3.Error, UnicodeEncodeError, OverflowError, MemoryError)

_CAUSES = {
    sqlite3.SQLITE_FULL: "there is no room for it on its disk; make room, then it works again",
    sqlite3.SQLITE_READONLY: (
        "it is read-only for this process; give its user the right to write the file, those beside it that end in -wal "
        "and -shm, and their folder, and start again"
    ),
    sqlite3.SQLITE_CANTOPEN: (
        "the file cannot be opened; its folder must be there, and this process must be allowed to write there"
    ),
    sqlite3.SQLITE_PERM: "the file cannot be opened; this process must be allowed to read and write it",
    sqlite3.SQLITE_NOTADB: "the file is no SQLite database (or it is encrypted); name another one, or move it away",
    sqlite3.SQLITE_CORRUPT: (
        "the file is damaged; stop every process that uses it, and restore a backup (or try `sqlite3 FILE .recover`)"
    ),
    sqlite3.SQLITE_IOERR: "reading or writing the file failed; look at its disk, its quota and the system's log",
}


_WHEN_LOCKED = "try again, and look for a program that keeps a transaction open (a shell, a backup, a migration)"


def advice_for(error: BaseException) -> str | None:
    """Return advice for a SQLite error with a known cause, or None."""
    return _WHEN_LOCKED if is_busy(error) else _CAUSES.get(_code(error))


def is_busy(error: BaseException) -> bool:
    """Whether another process blocked the statement. Nothing was changed, and a retry makes sense."""
    busy = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)
    return isinstance(error, sqlite3.Error) and _code(error) in busy


def refused(path: str, error: Exception) -> DatabaseError:
    """Return the error for a rejected statement."""
    cause = _CAUSES.get(_code(error))
    if isinstance(error, MemoryError):
        return DatabaseError(f"this process has too little memory for a statement on {path}; nothing was stored")
    if _code(error) == sqlite3.SQLITE_TOOBIG:
        return ValueTooLargeError(f"SQLite refused a value for {path}, which exceeds its longest text or row: {error}")
    if cause is None:
        return DatabaseError(f"SQLite refused a statement on {path}: {error}")
    return DatabaseError(f"the SQLite database {path} cannot be used ({error}): {cause}; nothing was stored")


def not_opened(path: str, error: Exception) -> DatabaseError:
    """Return the error for a database that cannot be opened."""
    cause = _CAUSES.get(_code(error))
    return DatabaseError(f"cannot open the SQLite database {path}: {error}" + (f"; {cause}" if cause else ""))


def locked(path: str, waited: float) -> DatabaseBusyError:
    """Return the error for a lock that another process kept too long."""
    return DatabaseBusyError(
        f"the SQLite database {path} was locked by another process for {waited:g} s, and nothing was stored; "
        f"{_WHEN_LOCKED}"
    )


def _code(error: BaseException) -> int:
    """Return the primary result code, or 0 for errors of the Python module."""
    code: object = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF if isinstance(code, int) else 0
