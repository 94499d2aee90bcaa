"""A drain beside millions of finished jobs is nearly as fast as one in an empty table."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import pytest

from tests.measuring import least_costs

from .conftest import IS_LONG
from .load import drain
from .server import add_finished, new_database

FINISHED = 20_000_000 if IS_LONG else 200_000
JOBS = 50_000 if IS_LONG else 10_000
SHARE = 0.9
"""Least speed, compared with an empty table."""


@pytest.mark.slow
def test_a_drain_beside_finished_jobs_is_as_fast_as_in_an_empty_table(
    server: str, url: str, show: Callable[[object], None]
) -> None:
    add_finished(url, FINISHED)
    with new_database(server) as empty:

        def seconds(url: str) -> float:
            took = asyncio.run(drain(url, JOBS))
            place = "in an empty table" if url == empty else f"beside {FINISHED:,} finished jobs"
            show(f"{JOBS / took:6.0f} jobs/s {place}")
            return took

        costs = least_costs(partial(seconds, url), partial(seconds, empty), enough=1 / SHARE, rounds=range(2, 40))
    show(f"{1 / costs.share:.2f} of the speed in an empty table")
    assert costs.share <= 1 / SHARE
