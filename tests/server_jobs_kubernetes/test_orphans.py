"""Another worker stores why a pod crashed whose worker has died, under the claim of that pod only."""

from __future__ import annotations

from datetime import timedelta

import pytest
from lightkube.resources.core_v1 import Pod
from server_jobs import JobStatus, Outcome
from server_jobs.domain.record import Claim
from server_jobs_kubernetes.claims import ClaimName
from server_jobs_kubernetes.cluster import Cluster
from server_jobs_kubernetes.errors import ClusterError
from server_jobs_kubernetes.orphans import OrphanedPods

from .test_claims import LEASE, Site
from .test_manifest import pod_with


class CrashedCluster(Cluster):
    """A cluster with the pods of the claims that a test adds. They are crashed, or `waiting`."""

    def __init__(self, *, waiting: bool = False) -> None:
        self.claims: list[Claim] = []
        self.deleted: list[str] = []
        self.is_away = False
        crashed = pod_with("Failed", {"terminated": {"exitCode": 137, "reason": "OOMKilled"}})
        self._pod = pod_with("Pending") if waiting else crashed

    async def pods_not_running(self) -> list[Pod]:
        if self.is_away:
            raise ClusterError("no answer")
        return [_pod_of(claim, self._pod) for claim in self.claims]

    async def delete_job(self, name: str) -> None:
        self.deleted.append(name)


def _pod_of(claim: Claim, state: Pod) -> Pod:
    name, pod = ClaimName.of(claim), state.to_dict()
    labels = {"server-jobs/job-id": name.job_id, "server-jobs/claim": name.digest}
    return Pod.from_dict(pod | {"metadata": {"labels": labels}})  # type: ignore[return-value]


async def test_a_new_worker_stores_why_the_pod_of_a_dead_worker_crashed() -> None:
    site, cluster = Site(), CrashedCluster()
    claim = await site.claim()
    cluster.claims = [claim]
    async with OrphanedPods(cluster, site.backend()):
        record = await site.read(claim)
    (attempt,) = await site.store.attempts(claim.id)
    assert record.status is JobStatus.PENDING
    assert (attempt.outcome, attempt.error_class) == (Outcome.FAILED, "PodFailedError")
    assert "more memory than its limit: OOMKilled, exit code 137" in (attempt.error or "")
    assert site.runs == []


async def test_a_pod_that_crashes_later_is_left_to_its_worker_for_a_round() -> None:
    site, cluster = Site(), CrashedCluster()
    claim = await site.claim()
    orphans = OrphanedPods(cluster, site.backend())
    await orphans.look(at_once=True)
    cluster.claims = [claim]
    await orphans.look()
    assert (await site.read(claim)).status is JobStatus.RUNNING
    cluster.is_away = True
    await orphans.look()
    cluster.is_away = False
    await orphans.look()
    await orphans.look()
    assert (await site.read(claim)).status is JobStatus.PENDING


async def claimed_twice(site: Site) -> tuple[Claim, Claim]:
    """Return two claims on a job, because the lease of the first one expired."""
    first = await site.claim()
    site.clock.advance(LEASE + timedelta(seconds=1))
    await site.store.expire(jitter=timedelta(0), except_for=())
    site.clock.advance(timedelta(hours=1))
    return first, await site.claim()


async def test_a_pod_that_never_started_is_deleted_only_if_its_claim_is_not_the_newest() -> None:
    site, cluster = Site(), CrashedCluster(waiting=True)
    first, second = await claimed_twice(site)
    elsewhere = first._replace(id="01a22bce-6d56-7000-8252-e68841e89cef")
    cluster.claims = [second, elsewhere, first]
    async with OrphanedPods(cluster, site.backend()):
        pass
    (deleted,) = cluster.deleted
    assert deleted.endswith(ClaimName.of(first).digest)


async def check_that_a_newer_claim_goes_on() -> None:
    site, cluster = Site(), CrashedCluster()
    first, second = await claimed_twice(site)
    before = await site.read(second)
    cluster.claims = [first]
    async with OrphanedPods(cluster, site.backend()):
        assert await site.read(second) == before


async def test_the_pod_of_an_earlier_claim_changes_nothing() -> None:
    await check_that_a_newer_claim_goes_on()


async def test_without_the_check_the_pod_of_an_earlier_claim_would_fail_the_newer_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ClaimName, "is_newest", lambda name, record: True)
    with pytest.raises(AssertionError):
        await check_that_a_newer_claim_goes_on()
