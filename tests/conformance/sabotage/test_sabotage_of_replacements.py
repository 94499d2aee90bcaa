"""Without the conditions of the audit entries of replaced jobs, or without the entries, their tests fail."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from server_jobs.domain.interfaces import Store
from server_jobs.stores.sql.dialect import statements_of
from server_jobs.testing import FakeClock

from tests.conformance.stores import STORES
from tests.conformance.suite import test_conflicts as conflicts
from tests.sabotage import sabotage

_CALLER = conflicts.test_a_caller_who_replaces_a_job_is_in_the_audit_log


@pytest.mark.parametrize(
    ("fragment", "instead", "test"),
    [
        ("NOT EXISTS", "EXISTS", _CALLER),
        (" AND (start_before < {now}) IS NOT TRUE", "", conflicts.test_a_late_job_is_not_replaced_and_has_no_entry),
        ("'new params", "'old params", _CALLER),
        (":actor", "'application'", _CALLER),
    ],
)
async def test_without_its_protection_a_test_fails(
    monkeypatch: pytest.MonkeyPatch,
    clock: FakeClock,
    fragment: str,
    instead: str,
    test: Callable[[Store, FakeClock], Awaitable[None]],
) -> None:
    sabotage(monkeypatch, statements_of("sqlite"), "AUDIT_REPLACE", fragment, instead)
    async with STORES["sqlite"](clock) as opened:
        with pytest.raises((AssertionError, ValueError)):  # an entry is wrong, or there are more
            await test(opened, clock)
