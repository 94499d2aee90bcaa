"""Without the conditions of a completion job, their tests fail."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from server_jobs.domain.interfaces import Store
from server_jobs.domain.record import WAITS
from server_jobs.stores.sql.parameters import timestamp
from server_jobs.testing import FakeClock

from tests.conformance.sabotage.test_sabotage_of_repairs import DIALECTS
from tests.conformance.stores import STORES
from tests.conformance.suite import test_batches as batches
from tests.sabotage import sabotage

Test = Callable[[Store, FakeClock], Awaitable[None]]

PENDING: dict[str, str] = dict.fromkeys(("sqlite", "postgresql"), " AND one.status = 'pending'")
_RUNS = """AND id NOT IN (SELECT batch_id FROM {jobs}
     WHERE status = 'running' AND worker_expires_at IS NOT NULL AND batch_id IS NOT NULL)"""
RUNS = {"sqlite": _RUNS.format(jobs="jobs INDEXED BY jobs_lease"), "postgresql": _RUNS.format(jobs="jobs")}
WAITING = {
    "sqlite": f" AND scheduled_for = {timestamp(WAITS)}",
    "postgresql": f" AND scheduled_for = timestamptz '{WAITS.isoformat()}'",
}
BOTH = ("ENDED_BATCHES", "END_BATCHES")
CASES: list[tuple[tuple[str, ...], dict[str, str], str, Test]] = [
    (BOTH, PENDING, " AND false", batches.test_a_job_between_two_attempts_has_not_finished),
    (BOTH, RUNS, "", batches.test_a_running_job_has_not_finished),
    (BOTH, WAITING, "", batches.test_a_batch_ends_once),
    (("RETRY",), WAITING, " AND false", batches.test_a_completion_job_that_is_retried_before_the_end_waits_again),
    (("REPAIR",), WAITING, " AND false", batches.test_a_completion_job_that_is_repaired_before_the_end_waits_on),
]


@pytest.mark.parametrize("kind", DIALECTS)
@pytest.mark.parametrize(
    ("names", "condition", "instead", "test"), CASES, ids=["pending", "running", "once", "retry", "repair"]
)
async def test_without_its_condition_a_completion_job_runs_too_early_or_again(
    kind: str,
    names: tuple[str, ...],
    condition: dict[str, str],
    instead: str,
    test: Test,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in names:
        sabotage(monkeypatch, DIALECTS[kind], name, condition[kind], instead)
    async with STORES[kind](clock) as opened:
        with pytest.raises(AssertionError):
            await test(opened, clock)
