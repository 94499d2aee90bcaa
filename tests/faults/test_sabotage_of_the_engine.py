"""Each protection in the worker's code is removed, and its test must fail."""

from __future__ import annotations

import asyncio
import gc
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import pytest
from server_jobs.contract import documents
from server_jobs.domain.record import Expired
from server_jobs.engine.attempts import error_text
from server_jobs.engine.attempts.attempt import Attempt
from server_jobs.engine.attempts.leases import LeaseKeeper
from server_jobs.engine.attempts.settler import Settler
from server_jobs.engine.chores import Chores
from server_jobs.engine.execution import Execution
from server_jobs.engine.prefetch import Prefetcher
from server_jobs.engine.slots import Slots

from tests.runtime.contract import test_documents
from tests.runtime.engine import test_attempt, test_leases, test_prefetching, test_settler, test_worker

PATIENCE = 60.0
WEARINESS = 3.0
"""Seconds after which a waiting test counts as failed, without and with sabotage."""

real_note_failure = Settler._note_failure
real_take = Execution.take


@dataclass(frozen=True)
class Case:
    """A protection, its replacement, and the test that must fail."""

    protection: str
    owner: object
    name: str
    instead: Callable[..., object]
    noticed_by: Callable[..., object]

    def __str__(self) -> str:
        return self.protection


def nothing(*_: object, **__: object) -> None:
    """Do nothing instead of the protection."""


def never(*_: object, **__: object) -> bool:
    """Report no problem."""
    return False


def drop_at_once(settler: Settler, batch: Sequence[object], error: Exception) -> None:
    """Drop an outcome at the first failure."""
    real_note_failure(settler, batch, error)  # type: ignore[arg-type]  # private to the settler
    for waiting in settler._waiting:
        waiting.stored(None, None)
    settler._waiting.clear()


def keep_together(settler: Settler, batch: Sequence[object], error: Exception) -> None:
    """Write rejected outcomes again in one batch."""
    real_note_failure(settler, batch, error)  # type: ignore[arg-type]  # private to the settler
    settler._size = None


async def take_any(execution: Execution, limit: int, **options: object) -> Sequence[Attempt]:
    """Claim as many attempted jobs as others."""
    return await real_take(execution, limit, queues=None, slots=None)


async def expire_all(chores: Chores) -> Sequence[Expired]:
    """Expire this worker's own jobs too."""
    return await chores._store.expire(jitter=timedelta(0))


def as_it_is(text: str, limit: int) -> str:
    """Store any text."""
    return text


def without_problems(value: object, **options: bool) -> tuple[()]:
    """Report no problem."""
    return ()


CASES = [
    Case(
        "work ends when its lease cannot be kept",
        LeaseKeeper,
        "_stop_outlived",
        nothing,
        test_leases.test_an_outage_longer_than_the_lease_ends_the_handler,
    ),
    Case(
        "work ends when its claim was lost",
        LeaseKeeper,
        "_note",
        nothing,
        test_leases.test_a_handler_whose_lease_was_lost_is_cancelled,
    ),
    Case(
        "a waiting claim that was lost is not run",
        LeaseKeeper,
        "_note",
        nothing,
        test_prefetching.test_a_waiting_claim_that_was_lost_is_not_run,
    ),
    Case(
        "the leases of waiting claims are renewed",
        LeaseKeeper,
        "add",
        nothing,
        test_prefetching.test_the_leases_of_claims_that_wait_are_renewed,
    ),
    Case(
        "outcomes are tried again after an outage",
        Settler,
        "_note_failure",
        drop_at_once,
        test_settler.test_a_job_whose_outcome_meets_an_outage_is_completed_by_the_same_attempt,
    ),
    Case(
        "outcomes go one by one after a failure",
        Settler,
        "_note_failure",
        keep_together,
        test_settler.test_an_outcome_that_is_always_refused_keeps_no_other_back,
    ),
    Case(
        "nothing is begun while outcomes cannot be stored",
        Slots,
        "is_blocked",
        never,
        test_prefetching.test_no_job_starts_while_outcomes_cannot_be_stored,
    ),
    Case(
        "attempted jobs are not claimed ahead",
        Execution,
        "take",
        take_any,
        test_prefetching.test_attempted_jobs_are_not_prefetched,
    ),
    Case(
        "waiting claims are released when the worker stops",
        Prefetcher,
        "release",
        nothing,
        test_prefetching.test_stopping_releases_waiting_jobs_at_once_without_an_attempt,
    ),
    Case(
        "what runs here is not taken for lost",
        Chores,
        "expire",
        expire_all,
        test_worker.test_a_worker_that_was_paused_does_not_take_its_own_running_job_for_lost,
    ),
    Case(
        "values that not every database takes are refused",
        documents,
        "check",
        without_problems,
        partial(
            test_documents.test_a_result_that_cannot_be_stored_is_refused_by_pointer,
            result=test_documents.Loose(anything="a\0b"),
            problem="/anything: contains a NUL character, which not every database can store",
        ),
    ),
    Case(
        "numbers that JSON cannot express are refused",
        documents,
        "non_finite",
        without_problems,
        partial(
            test_documents.test_a_result_that_cannot_be_stored_is_refused_by_pointer,
            result=test_documents.Loose(ratio=float("nan")),
            problem="/ratio: is nan, which JSON cannot express",
        ),
    ),
    Case(
        "texts that not every database takes are cleaned",
        error_text,
        "clean_text",
        as_it_is,
        test_attempt.test_an_error_text_that_no_database_takes_is_cleaned,
    ),
]


async def within(seconds: float, test: Callable[..., object]) -> None:
    """Run a test; one that hangs counts as failed."""
    try:
        async with asyncio.timeout(seconds):
            outcome = test()
            if inspect.isawaitable(outcome):
                await outcome
    except TimeoutError:
        pytest.fail("it waits for ever")


# Ignore the leftovers of a sabotaged worker at the end of its loop.
@pytest.mark.filterwarnings("ignore:coroutine:RuntimeWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_lost_protection_of_the_engine_is_noticed_by_the_test_that_is_there_for_it(
    case: Case, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    given = case.noticed_by.keywords if isinstance(case.noticed_by, partial) else {}
    names = inspect.signature(case.noticed_by).parameters.keys() - given.keys()
    fixtures = {name: request.getfixturevalue(name) for name in names}
    test = partial(case.noticed_by, **fixtures)
    asyncio.run(within(PATIENCE, test))

    if not hasattr(case.owner, case.name):
        raise LookupError(f"{case.owner} has no {case.name!r} any more: sabotage what protects it now")
    monkeypatch.setattr(case.owner, case.name, case.instead)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        asyncio.run(within(WEARINESS, test))
    gc.collect()  # collect here, where these warnings are ignored
