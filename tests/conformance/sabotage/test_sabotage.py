"""Each protection of `cases` is removed on purpose, and its conformance test must fail.

A suite that passes without the token guard proves nothing about the guard. In SQL a fragment of a statement is
replaced. The fragment must exist, so that no sabotage becomes ineffective. In memory a function of `lifecycle` is
replaced.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from _pytest.mark.structures import ParameterSet
from server_jobs import DatabaseError
from server_jobs.testing import FakeClock

from tests.conformance.stores import STORES
from tests.conformance.suite import test_claim

from .cases import CASES
from .cases.case import ConformanceTest, Sabotage, without


def removals() -> Iterator[ParameterSet]:
    """Yield each protection on each kind of store. All but the first kind are slow: the same test notices it."""
    for case in CASES:
        marks: tuple[pytest.MarkDecorator, ...] = ()
        for store, sabotage in (
            ("sqlite", case.sqlite or case.sql),
            ("postgresql", case.postgresql or case.sql),
            ("memory", case.memory),
        ):
            if sabotage is not None:
                yield pytest.param(store, sabotage, case.noticed_by, id=f"{case.protection}, {store}", marks=marks)
                marks = (pytest.mark.slow,)


async def run_on_a_new_store(
    kind: str, sabotage: Sabotage, test: ConformanceTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock()
    async with STORES[kind](clock) as store:
        sabotage(monkeypatch, store)
        await test(store, clock)


# Without a sabotage each of these tests passes: it is a test of the suite, which runs on the same stores.
@pytest.mark.parametrize(("store", "sabotage", "noticed_by"), list(removals()))
def test_a_lost_protection_is_noticed_by_the_test_that_is_there_for_it(
    store: str, sabotage: Sabotage, noticed_by: ConformanceTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        asyncio.run(run_on_a_new_store(store, sabotage, noticed_by, monkeypatch))


@pytest.mark.parametrize(("store", "limit"), [("sqlite", "LIMIT :limit"), ("postgresql", "CAST(:limit AS integer)")])
def test_a_database_that_takes_the_limit_of_a_claim_for_a_suggestion_is_noticed_when_it_claims(
    store: str, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlimited = without(limit, "CLAIM", instead=limit.replace(":limit", "1000"))
    noticed_by = test_claim.test_exactly_as_many_jobs_are_claimed_as_asked_for_or_as_are_due
    with pytest.raises(DatabaseError, match="claimed 10 jobs where 4 were asked for"):
        asyncio.run(run_on_a_new_store(store, unlimited, noticed_by, monkeypatch))


def test_a_sabotage_that_finds_nothing_to_remove_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = without("no such guard", "SETTLE")
    with pytest.raises(LookupError, match="has no 'no such guard' any more"):
        asyncio.run(run_on_a_new_store("sqlite", nothing, test_claim.test_each_claim_counts_one_attempt, monkeypatch))
