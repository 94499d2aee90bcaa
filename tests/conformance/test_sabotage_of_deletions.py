"""What protects running jobs and the audit log is taken out of the statements: then their tests fail."""

from __future__ import annotations

import pytest
from server_jobs.domain.search import Condition
from server_jobs.stores import postgres_statements, statements
from server_jobs.testing import FakeClock

from tests.conformance import test_audit as audits
from tests.conformance import test_search as searches
from tests.conformance.stores import STORES
from tests.sabotage import altered

DIALECTS = {"sqlite": statements, "postgresql": postgres_statements}


@pytest.mark.parametrize("kind", DIALECTS)
async def test_without_its_condition_a_deletion_takes_running_jobs(
    kind: str, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    _sabotage(kind, "DELETE", " AND status <> 'running'", monkeypatch)
    async with STORES[kind](clock) as opened:
        with pytest.raises(AssertionError):
            await audits.test_pending_and_finished_jobs_are_deleted_and_running_ones_stay(opened, clock)


@pytest.mark.parametrize("kind", DIALECTS)
async def test_without_its_condition_a_move_that_changes_nothing_is_entered(
    kind: str, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    parked = f" AND (status IN ('pending', 'running') OR {statements.PARKED})"
    _sabotage(kind, "AUDIT_CANCEL", parked, monkeypatch)
    async with STORES[kind](clock) as opened:
        with pytest.raises(AssertionError):
            await audits.test_what_changes_nothing_has_no_entry(opened, clock)


@pytest.mark.parametrize("kind", DIALECTS)
async def test_without_their_comparison_in_python_other_jobs_are_found(
    kind: str, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Condition, "holds_for", lambda self, document: True)
    async with STORES[kind](clock) as opened:
        with pytest.raises(AssertionError):
            await searches.test_jobs_are_found_by_a_value_of_their_params(opened, clock)


def _sabotage(kind: str, name: str, fragment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take that out of the statement."""
    for place, text in altered(DIALECTS[kind], name, fragment):
        monkeypatch.setattr(DIALECTS[kind], place, text)
