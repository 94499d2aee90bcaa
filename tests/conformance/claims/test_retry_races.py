"""A job that changes while it is retried, in stores that read it between two statements."""

from __future__ import annotations

from unittest.mock import patch

import pytest
from server_jobs.domain.record import JobRecord, JobStatus
from server_jobs.testing import FakeClock

from tests.conformance.examples import failed, insert_and_claim, job, read
from tests.conformance.stores import STORES


@pytest.mark.parametrize("name", [name for name in STORES if name != "memory"])
async def test_a_job_that_fails_while_it_is_being_retried_is_retried(name: str, clock: FakeClock) -> None:
    async with STORES[name](clock) as store:
        claim = await insert_and_claim(store, job("a"))
        get, looks = store.get, 0

        async def fails_meanwhile(job_id: str) -> JobRecord | None:
            nonlocal looks
            looks += 1
            await store.settle([failed(claim, retry_after=None)])
            return await get(job_id)

        with patch.object(store, "get", fails_meanwhile):
            await store.retry("a")

        assert (looks, (await read(store, "a")).status) == (1, JobStatus.PENDING)
