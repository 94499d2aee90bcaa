"""The permission to use a real database. A running test has it only if it asks for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

REFUSING_TEST = "JOBS_REFUSING_TEST"
"""Environment variable with the id of the running test, for child processes."""

TEST_DATABASE = "JOBS_TEST_DATABASE"
"""Environment variable with the place of the database that the fixture `jobs_database` made for the running test."""

refused: list[str] = []
"""The refusals of the running test, because code under test may catch the errors."""

_test: str | None = None


def check_real_database_allowed(database: object) -> None:
    """Raise `RealDatabaseError` while a test runs that did not ask for this database."""
    test, own = _test or os.environ.get(REFUSING_TEST), os.environ.get(TEST_DATABASE)
    if test is not None and (place := place_of(database)) != own:
        _refuse(place, test, own)


def check_transaction_allowed(library: str) -> None:
    """Raise `RealDatabaseError` for a transaction of the application while a test runs that asked for no database."""
    test = _test or os.environ.get(REFUSING_TEST)
    if test is not None and TEST_DATABASE not in os.environ:
        _refuse(library, test, None)


def place_of(database: object) -> str:
    """Return the absolute path of a SQLite file, the servers and the name of another database, or else its kind."""
    path = getattr(database, "path", None)
    if isinstance(path, str) and path != ":memory:":
        return os.path.realpath(path)
    return str(getattr(database, "shown_url", None) or getattr(database, "name", database))


def _refuse(place: str, test: str, own: str | None) -> NoReturn:
    from ..errors import RealDatabaseError  # each pytest run loads this module, and most never get here

    error = RealDatabaseError(place, test, own)
    refused.append(str(error))
    raise error


@contextmanager
def allowed(place: str) -> Iterator[None]:
    """Allow the database at this place until the block ends, also in new child processes."""
    before = os.environ.get(TEST_DATABASE)
    os.environ[TEST_DATABASE] = place
    try:
        yield
    finally:
        os.environ.pop(TEST_DATABASE, None)
        if before is not None:
            os.environ[TEST_DATABASE] = before


@contextmanager
def refused_in(test: str | None) -> Iterator[None]:
    """Refuse real databases until the block ends, in all threads and in new child processes. None: allow them."""
    global _test  # noqa: PLW0603  one test runs at a time
    before, _test = _test, test
    variable = os.environ.pop(REFUSING_TEST, None)
    refused.clear()
    if test is not None:
        os.environ[REFUSING_TEST] = test
    try:
        yield
    finally:
        _test = before
        os.environ.pop(REFUSING_TEST, None)
        if variable is not None:
            os.environ[REFUSING_TEST] = variable
