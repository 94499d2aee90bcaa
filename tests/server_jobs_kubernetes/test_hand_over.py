"""The moment at which a pod holds the claim alone, and what a worker does afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import timedelta

import pytest
from lightkube.resources.core_v1 import Pod
from server_jobs_kubernetes.claims import ClaimName, PodFailedError
from server_jobs_kubernetes.cluster import Cluster
from server_jobs_kubernetes.errors import ClusterError
from server_jobs_kubernetes.manifest import PodSettings, pod_spec_of
from server_jobs_kubernetes.pods import KubernetesPods

from .test_manifest import CLAIM, Attempt, pod_with

MOMENT = timedelta(milliseconds=10)


class MemoryCluster(Cluster):
    """A cluster whose only pod has the state that a test sets."""

    def __init__(self) -> None:
        self.pod_now: Pod | None = pod_with("Running", {"running": {}})
        self.created: list[Mapping[str, object]] = []
        self.deleted: list[str] = []
        self.errors: list[ClusterError] = []
        self._looks = asyncio.Semaphore(0)

    async def looked_at_twice(self) -> None:
        """Wait until the state of the pod was read, and has had an effect."""
        for _ in range(2):
            await self._looks.acquire()

    async def create_job(self, manifest: Mapping[str, object]) -> None:
        if self.errors:
            raise self.errors.pop()
        self.created.append(manifest)

    async def delete_job(self, name: str) -> None:
        self.deleted.append(name)

    async def pods_of(self, claims: Iterable[str]) -> list[Pod]:
        assert list(claims) == [ClaimName.of(CLAIM).digest]
        self._looks.release()
        if self.pod_now is None:
            return []
        labels = {"labels": {"server-jobs/claim": ClaimName.of(CLAIM).digest}}
        return [Pod.from_dict(self.pod_now.to_dict() | {"metadata": labels})]  # type: ignore[list-item]


class Claimed(Attempt):
    """An attempt with the lease of a moment."""

    lease = MOMENT

    def __init__(self) -> None:
        super().__init__()
        self.handed_over = asyncio.Event()
        self.is_newest = True

    async def hand_over(self, boot: timedelta) -> None:
        assert boot == MOMENT
        self.handed_over.set()

    async def is_current(self) -> bool:
        return self.is_newest


def pods_on(cluster: Cluster, start_timeout: timedelta = timedelta(minutes=5)) -> KubernetesPods:
    spec = pod_spec_of("shop:1", secret="shop")
    settings = PodSettings(spec=spec, start_timeout=start_timeout, boot_timeout=MOMENT)
    return KubernetesPods(cluster, settings, interval=MOMENT)


async def test_a_pod_that_runs_holds_the_claim_until_it_has_stored_the_outcome() -> None:
    cluster, attempt = MemoryCluster(), Claimed()
    cluster.pod_now = pod_with("Pending")
    async with pods_on(cluster) as pods, asyncio.timeout(10):
        running = asyncio.create_task(pods.run(attempt))
        await cluster.looked_at_twice()
        assert not attempt.handed_over.is_set()
        cluster.pod_now = pod_with("Running")
        await attempt.handed_over.wait()
        cluster.pod_now = pod_with("Succeeded")
        await running
    assert len(cluster.created) == len(cluster.deleted) == 1


async def test_a_pod_whose_claim_is_not_the_newest_is_deleted() -> None:
    cluster, attempt = MemoryCluster(), Claimed()
    async with pods_on(cluster) as pods, asyncio.timeout(10):
        running = asyncio.create_task(pods.run(attempt))
        await attempt.handed_over.wait()
        attempt.is_newest = False
        await running
    assert len(cluster.deleted) == 1


@pytest.mark.parametrize(("phase", "deleted"), [("Pending", 1), ("Running", 0)])
async def test_a_worker_that_stops_leaves_only_a_pod_that_runs(phase: str, deleted: int) -> None:
    cluster, attempt = MemoryCluster(), Claimed()
    cluster.pod_now = pod_with(phase)
    async with pods_on(cluster) as pods:
        running = asyncio.create_task(pods.run(attempt))
        await cluster.looked_at_twice()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert len(cluster.deleted) == deleted


async def test_a_pod_that_the_cluster_does_not_create_fails_the_attempt_with_the_command_that_shows_why() -> None:
    cluster = MemoryCluster()
    cluster.pod_now = None
    async with pods_on(cluster, start_timeout=MOMENT) as pods, asyncio.timeout(10):
        with pytest.raises(PodFailedError, match=r"did not start within 10ms: .* see kubectl get events"):
            await pods.run(Claimed())
    assert len(cluster.deleted) == 1


@pytest.mark.parametrize(("phase", "deleted"), [("Running", 1), ("Failed", 0)])
async def test_a_crashed_pod_stays_for_a_look_unless_another_container_runs_on(phase: str, deleted: int) -> None:
    cluster = MemoryCluster()
    cluster.pod_now = pod_with(phase, {"terminated": {"exitCode": 3}})
    async with pods_on(cluster) as pods, asyncio.timeout(10):
        with pytest.raises(PodFailedError, match="exited with code 3"):
            await pods.run(Claimed())
    assert len(cluster.deleted) == deleted


async def test_a_pod_that_disappears_fails_the_attempt_unless_it_has_stored_the_outcome() -> None:
    cluster, attempt = MemoryCluster(), Claimed()
    async with pods_on(cluster) as pods, asyncio.timeout(10):
        running = asyncio.create_task(pods.run(attempt))
        await attempt.handed_over.wait()
        cluster.pod_now = None
        with pytest.raises(PodFailedError, match="the pod of RenderReport disappeared; it was deleted, its node"):
            await running
    cluster, attempt = MemoryCluster(), Claimed()
    async with pods_on(cluster) as pods, asyncio.timeout(10):
        running = asyncio.create_task(pods.run(attempt))
        await cluster.looked_at_twice()
        attempt.is_newest = False
        cluster.pod_now = None
        await running


async def test_a_request_that_was_not_answered_is_repeated_and_a_refused_one_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("server_jobs_kubernetes.pods._CREATE_PAUSE", 0.01)
    cluster = MemoryCluster()
    cluster.pod_now = pod_with("Succeeded")
    async with pods_on(cluster) as pods, asyncio.timeout(10):
        cluster.errors = [ClusterError("no answer")] * 3
        await pods.run(Claimed())
        cluster.errors = [ClusterError("no quota", is_refused=True)]
        with pytest.raises(PodFailedError, match="the pod of RenderReport could not be created: no quota"):
            await pods.run(Claimed())
    assert len(cluster.created) == 1
