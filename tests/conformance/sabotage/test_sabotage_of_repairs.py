"""Without the conditions that protect parked jobs, their tests fail."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from server_jobs.domain.interfaces import Store
from server_jobs.stores.sql.dialect import statements_of
from server_jobs.testing import FakeClock

from tests.conformance.stores import STORES
from tests.conformance.suite import test_repair as repairs
from tests.sabotage import sabotage

DIALECTS = {"sqlite": statements_of("sqlite"), "postgresql": statements_of("postgresql")}
PARKED = DIALECTS["sqlite"].fragments["parked"]
SAME_PARAMS = {"sqlite": " AND CAST(params AS TEXT) = :old_params", "postgresql": " AND params = :old_params"}


@pytest.mark.parametrize("kind", DIALECTS)
async def test_without_its_exception_the_pruning_takes_parked_jobs(
    kind: str, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    sabotage(monkeypatch, DIALECTS[kind], "PRUNE", f" AND NOT {PARKED}")
    async with STORES[kind](clock) as opened:
        with pytest.raises(AssertionError):
            await repairs.test_a_parked_job_is_never_pruned(opened, clock)


@pytest.mark.parametrize("kind", DIALECTS)
@pytest.mark.parametrize("change", [repairs.repair_it, repairs.cancel_it])
async def test_without_its_comparison_a_repair_overwrites_what_somebody_else_did(
    kind: str,
    change: Callable[[Store], Awaitable[None]],
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    status = f"(status = 'pending' OR {PARKED}) AND "
    fragment = SAME_PARAMS[kind] if change is repairs.repair_it else status
    sabotage(monkeypatch, DIALECTS[kind], "REPAIR", fragment)
    async with STORES[kind](clock) as opened:
        doomed = repairs.test_a_job_that_has_changed_since_it_was_read_is_not_repaired(
            opened, clock, change, "cannot be repaired"
        )
        with pytest.raises(pytest.fail.Exception):
            await doomed
