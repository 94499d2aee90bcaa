"""Without the conditions that protect jobs from changes by hand, and the audit log, their tests fail."""

from __future__ import annotations

import pytest
from server_jobs.errors import DatabaseError
from server_jobs.stores import searching
from server_jobs.stores.sql.dialect import statements_of
from server_jobs.testing import FakeClock

from tests.conformance.stores import STORES
from tests.conformance.suite import test_audit as audits
from tests.conformance.suite import test_search as searches
from tests.sabotage import sabotage

_STATUSES = {
    "sqlite": ":statuses IS NULL OR status IN (SELECT value FROM json_each(:statuses))",
    "postgresql": "CAST(:statuses AS json) IS NULL OR "
    "status IN (SELECT json_array_elements_text(CAST(:statuses AS json)))",
}
DIALECTS = {"sqlite": statements_of("sqlite"), "postgresql": statements_of("postgresql")}


@pytest.mark.parametrize("kind", DIALECTS)
async def test_without_its_condition_a_deletion_takes_running_jobs(
    kind: str, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    sabotage(monkeypatch, DIALECTS[kind], "DELETE", " AND status <> 'running'")
    async with STORES[kind](clock) as opened:
        with pytest.raises(AssertionError):
            await audits.test_pending_and_finished_jobs_are_deleted_and_running_ones_stay(opened, clock)


async def test_without_its_condition_a_move_that_changes_nothing_is_entered(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On PostgreSQL, the entries are made from the changed rows."""
    parked = f" AND (status IN ('pending', 'running') OR {DIALECTS['sqlite'].fragments['parked']})"
    sabotage(monkeypatch, DIALECTS["sqlite"], "AUDIT_CANCEL", parked)
    async with STORES["sqlite"](clock) as opened:
        with pytest.raises(AssertionError):
            await audits.test_calls_without_effect_have_no_entry(opened, clock)


@pytest.mark.parametrize("kind", DIALECTS)
@pytest.mark.parametrize("move", ["CANCEL", "RETRY", "DELETE"])
async def test_without_the_filter_a_move_changes_jobs_that_do_not_match_any_more(
    kind: str, move: str, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    sabotage(monkeypatch, DIALECTS[kind], move, f" AND ({_STATUSES[kind]})")
    async with STORES[kind](clock) as opened:
        with pytest.raises(AssertionError):
            await searches.test_a_job_that_does_not_match_any_more_stays(opened, clock)


@pytest.mark.parametrize("kind", DIALECTS)
async def test_without_the_choice_of_one_job_per_key_a_retry_breaks_the_unique_key(
    kind: str, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    sabotage(monkeypatch, DIALECTS[kind], "RETRY", " WHERE is_first")
    async with STORES[kind](clock) as opened:
        with pytest.raises((AssertionError, DatabaseError)):
            await searches.test_many_jobs_are_retried_and_each_answer_says_why_not(opened, clock)


@pytest.mark.parametrize("kind", DIALECTS)
async def test_without_their_comparison_in_python_other_jobs_are_found(
    kind: str, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "holds", lambda condition, document: True)
    async with STORES[kind](clock) as opened:
        with pytest.raises(AssertionError):
            await searches.test_jobs_are_found_by_a_value_of_their_params(opened, clock)
