"""The permission to use a real database. A running test has it only if it asks for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

REFUSING_TEST = "JOBS_REFUSING_TEST"
"""Environment variable with the id of the running test, for child processes."""

refused: list[str] = []
"""The refusals of the running test, because code under test may catch the errors."""

_test: str | None = None


def check_real_database_allowed(place: str) -> None:
    """Raise `RealDatabaseError` while a test runs that did not ask for a real database."""
    test = _test or os.environ.get(REFUSING_TEST)
    if test is not None:
        from ..errors import RealDatabaseError  # each pytest run loads this module, and most never get here

        error = RealDatabaseError(place, test)
        refused.append(str(error))
        raise error


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
