"""Errors of the package in other processes."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta

import pytest
from server_jobs import InvalidParamsError, RetryAfterError
from server_jobs.errors import (
    DuplicateJobError,
    JobFailedError,
    JobNotFoundError,
    Problem,
    ResourceNotFoundError,
    ScheduleError,
    SchemaMissingError,
    ServerJobsError,
    SetupError,
)

PROBLEM = Problem("/to", 'Input should be an e-mail address, got "x"', "Input should be an e-mail address")
ERRORS = (
    InvalidParamsError("SendEmail", [PROBLEM], 2),
    JobNotFoundError("17"),
    JobFailedError("SendEmail", None, "failed", "no answer"),
    DuplicateJobError("key", "17"),
    RetryAfterError(timedelta(seconds=5), "busy"),
    ScheduleError("cron has four fields"),
    SchemaMissingError("there is no table"),
    SetupError("middleware", ValueError("no server")),
    ResourceNotFoundError("Mailer", ["Clock"]),
)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_copied_or_pickled_error_has_the_same_class_message_and_attributes(error: ServerJobsError) -> None:
    for again in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert again.args == error.args
        assert vars(again) == vars(error)


def test_every_error_of_the_package_pickles_in_the_same_way() -> None:
    assert {kind.__reduce__ for kind in subclasses(ServerJobsError)} == {ServerJobsError.__reduce__}


def subclasses(kind: type[ServerJobsError]) -> Iterator[type[ServerJobsError]]:
    for one in kind.__subclasses__():
        yield one
        yield from subclasses(one)


def refuse() -> None:
    raise ERRORS[0]


def test_an_error_in_a_pool_of_processes_reaches_its_caller() -> None:
    with ProcessPoolExecutor(1) as pool, pytest.raises(InvalidParamsError) as caught:
        pool.submit(refuse).result()

    assert caught.value.problems == (PROBLEM,)
