"""Consecutive claims find new jobs and jobs that earlier claims did not reach."""

from __future__ import annotations

from datetime import timedelta

import pytest
from server_jobs.domain.interfaces import Store
from server_jobs.domain.options import ConcurrencyLimit, RateLimit
from server_jobs.domain.record import KnownJob
from server_jobs.stores.sql.claims import limited
from server_jobs.testing import FakeClock

from tests.conformance.examples import IMPORT, SECOND, SEND, failed, ids, job, request


@pytest.mark.parametrize("known", [SEND, KnownJob("SendEmail", 1, concurrency=ConcurrencyLimit(limit=2))])
async def test_new_jobs_after_empty_claims_are_claimed(store: Store, clock: FakeClock, known: KnownJob) -> None:
    asked = request(known, IMPORT)
    await store.pause_queue("paused")
    await store.insert([job("later", delay=SECOND), job("paused", queue="paused"), job("unknown", "Other")])
    for _ in range(3):
        assert ids(await store.claim(asked)) == []

    clock.advance(SECOND)
    assert ids(await store.claim(asked)) == ["later"]
    assert ids(await store.claim(asked)) == []
    await store.resume_queue("paused")
    assert ids(await store.claim(asked)) == ["paused"]
    assert ids(await store.claim(asked)) == []
    await store.insert([job("new", "ImportCsv")])
    assert ids(await store.claim(asked)) == ["new"]


async def test_a_free_key_among_many_that_are_used_up_is_found_at_once(
    store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limited, "WINDOW", 8)
    monkeypatch.setattr(limited, "LANES", 2)
    monkeypatch.setattr(limited, "FURTHER_LANES", 20)
    known = KnownJob("Call", 1, rate=RateLimit(limit=1, per=timedelta(hours=1)))
    keys = [f"{number * 2**64 // 30:016x}" for number in range(30)]
    await store.insert([job(key, "Call", concurrency_key="", rate_key=key) for key in keys])
    started = await store.claim(request(known, limit=30))
    assert len(started) == 30
    await store.settle([failed(claim, retry_after=timedelta(0)) for claim in started])
    await store.insert([job("free", "Call", concurrency_key="", rate_key="f" * 16)])

    assert ids(await store.claim(request(known, limit=2))) == ["free"]
