"""A pod takes over the claim of its worker, and never a newer one."""

from __future__ import annotations

from datetime import timedelta

import pytest
from server_jobs import JobContext, JobStatus, Outcome
from server_jobs.domain.record import Claim, JobRecord
from server_jobs.engine.worker_backend import PollingBackend
from server_jobs.errors import InvalidOptionError
from server_jobs.stores.memory import MemoryStore
from server_jobs.testing import FakeClock
from server_jobs_kubernetes.claims import ClaimName
from server_jobs_kubernetes.taking_over import take_over

from tests.runtime.example_jobs import Text, backend_on, text_job

LEASE = timedelta(seconds=60)


class Site:
    """A job, and backends on its store: one for a worker, one for each pod."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = MemoryStore(self.clock)
        self.runs: list[int] = []
        self.job = text_job(self._handle)

    async def _handle(self, params: Text, context: JobContext) -> Text:
        self.runs.append(context.attempt)
        return Text(text=f"attempt {context.attempt}")

    def backend(self) -> PollingBackend:
        return backend_on(self.store, self.job, clock=self.clock, lease=LEASE)

    async def claim(self) -> Claim:
        """Enqueue a job unless there is one, and claim it for a worker."""
        backend = self.backend()
        if not await self.store.count_jobs():
            await self.job.using(backend).later({"text": ""})
        (claim,) = (await backend.poll_and_claim(1)).claimed_jobs
        return claim

    async def run_pod(self, claim: Claim) -> Outcome | None:
        """Run a pod for this claim; None if it did not take the claim over."""
        backend = self.backend()
        attempt = await take_over(backend.execution, ClaimName.of(claim))
        return None if attempt is None else (await backend.execution.run(attempt))[0]

    async def read(self, claim: Claim) -> JobRecord:
        record = await self.store.get(claim.id)
        assert record is not None
        return record


async def test_a_pod_runs_the_claim_of_its_worker_with_a_new_lease() -> None:
    site = Site()
    claim = await site.claim()
    site.clock.advance(LEASE * 0.9)
    backend = site.backend()
    attempt = await take_over(backend.execution, ClaimName.of(claim))
    assert attempt is not None
    assert (await site.read(claim)).worker_expires_at == site.clock.now() + LEASE
    assert await backend.execution.run(attempt) == (Outcome.COMPLETED, None)
    assert (await site.read(claim)).result == '{"text":"attempt 1"}'
    assert await site.run_pod(claim) is None  # the job is finished


async def test_a_job_that_was_cancelled_does_not_run_in_its_pod() -> None:
    site = Site()
    claim = await site.claim()
    await site.store.cancel(claim.id)
    assert await site.run_pod(claim) is Outcome.CANCELLED
    assert (await site.read(claim)).status is JobStatus.CANCELLED
    assert site.runs == []


async def check_that_a_late_pod_changes_nothing() -> None:
    """Claim a job twice, because its first lease expired, and start the pod of the first claim afterwards."""
    site = Site()
    first = await site.claim()
    site.clock.advance(LEASE + timedelta(seconds=1))
    await site.store.expire(jitter=timedelta(0), except_for=())
    site.clock.advance(timedelta(hours=1))
    second = await site.claim()
    assert (second.id, second.attempt) == (first.id, 2)
    before = await site.read(first)
    assert await site.run_pod(first) is None
    assert await site.read(first) == before
    assert await site.run_pod(second) is Outcome.COMPLETED


async def test_a_late_pod_changes_nothing() -> None:
    await check_that_a_late_pod_changes_nothing()


async def test_without_the_check_a_late_pod_would_take_the_newer_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ClaimName, "is_newest", lambda name, record: True)
    with pytest.raises(AssertionError, match="COMPLETED"):
        await check_that_a_late_pod_changes_nothing()


@pytest.mark.parametrize("text", ["", "01a22bce", "01a22bce:", ":3f"])
def test_a_claim_that_is_no_claim_is_refused(text: str) -> None:
    with pytest.raises(InvalidOptionError, match="a claim is written JOB_ID:DIGEST, not"):
        ClaimName.parse(text)
