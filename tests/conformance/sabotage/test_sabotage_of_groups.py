"""Without the step that merges many groups in a claim, its test fails."""

from __future__ import annotations

import pytest
from server_jobs.stores.sql.dialect import DialectName, statements_of
from server_jobs.testing import FakeClock

from tests.conformance.claims import test_claim_groups as groups
from tests.conformance.examples import START
from tests.conformance.stores import STORES
from tests.sabotage import sabotage


@pytest.mark.parametrize(
    ("name", "fragment", "instead"),
    [("sqlite", "ORDER BY 4 DESC, 5, 1", ""), ("postgresql", "HAVING count(*) >= ", "HAVING false AND count(*) >= ")],
)
async def test_a_merge_that_passes_over_jobs_of_long_groups_is_noticed(
    name: DialectName, fragment: str, instead: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sabotage(monkeypatch, statements_of(name), "CLAIM", fragment, instead)
    clock = FakeClock(START)
    async with STORES[name](clock) as store:
        with pytest.raises(AssertionError):
            await groups.test_one_long_group_among_short_ones_fills_a_claim(store, clock)
