"""Answers of an API server, and of what stands in front of it: each becomes an error that a worker understands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
from lightkube import AsyncClient
from lightkube.config.kubeconfig import KubeConfig
from lightkube.resources.core_v1 import Pod
from server_jobs_kubernetes.claims import ClaimName
from server_jobs_kubernetes.cluster import Cluster
from server_jobs_kubernetes.errors import ClusterError
from server_jobs_kubernetes.orphans import OrphanedPods
from server_jobs_kubernetes.pod_state import Succeeded
from server_jobs_kubernetes.watcher import PodWatcher

from .test_claims import Site
from .test_hand_over import MOMENT, Claimed, pods_on
from .test_manifest import CLAIM, pod_with

Answer = Callable[[httpx2.Request], httpx2.Response]

JOB = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "render-1"}, "spec": {"template": {}}}
CONFLICT = 'Operation cannot be fulfilled on resourcequotas "shop": the object has been modified'
QUOTA = (
    'jobs.batch "render-1" is forbidden: exceeded quota: shop, requested: count/jobs.batch=1, used: count/jobs.batch=9'
)


def cluster_with(answer: Answer, **user: str) -> Cluster:
    """Return a cluster whose API server gives these answers."""
    document = {
        "clusters": [{"name": "test", "cluster": {"server": "http://api.example"}}],
        "users": [{"name": "worker", "user": user or {"token": "secret"}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "worker", "namespace": "shop"}}],
        "current-context": "test",
    }
    transport = httpx2.MockTransport(answer)
    return Cluster(AsyncClient(config=KubeConfig.from_dict(document), transport=transport))


def status(code: int, reason: str, message: str) -> httpx2.Response:
    """Return an answer of a real API server."""
    failure = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    return httpx2.Response(code, json={**failure, "code": code, "reason": reason, "message": message})


def pods(*found: Pod) -> httpx2.Response:
    labels = {"labels": {"server-jobs/claim": ClaimName.of(CLAIM).digest}}
    items = [one.to_dict() | {"metadata": labels} for one in found]
    return httpx2.Response(200, json={"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items})


STRANGE = {
    "nothing": httpx2.Response(500),
    "another place": httpx2.Response(302, headers={"location": "https://login.example"}),
    "a page": httpx2.Response(502, html="<html>Bad gateway</html>"),
    "a page as JSON": httpx2.Response(503, content=b"<html>", headers={"content-type": "application/json"}),
    "other JSON": httpx2.Response(500, json=["overloaded"]),
    "a success without content": httpx2.Response(200),
    "a success with a page": httpx2.Response(200, html="<html>Log in</html>"),
    "a text": httpx2.Response(429, text="Too many requests, please try again later.\n"),
    "too much": status(429, "TooManyRequests", "too many requests"),
    "an error": status(500, "InternalError", "Internal error occurred: failed calling webhook"),
    "an expired token": status(401, "Unauthorized", "Unauthorized"),
    "a conflict": status(409, "Conflict", CONFLICT),
    "a full quota": status(403, "Forbidden", QUOTA),
}


@pytest.mark.parametrize("answer", STRANGE.values(), ids=STRANGE)
async def test_an_answer_that_may_be_another_one_later_refuses_nothing(answer: httpx2.Response) -> None:
    cluster = cluster_with(lambda request: answer)
    for call in (cluster.create_job(JOB), cluster.pods_of(["one"]), cluster.pods_not_running()):
        with pytest.raises(ClusterError) as failure:
            await call
        assert not failure.value.is_refused
        assert "\n" not in str(failure.value)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (STRANGE["nothing"], "the API server answered 500 to a request to create a Job: Internal Server Error"),
        (STRANGE["a text"], "the API server answered 429 to a request to create a Job: Too Many Requests"),
        (STRANGE["a page as JSON"], "the API server answered 503 to a request to create a Job: Service Unavailable"),
        (STRANGE["a full quota"], f"the API server answered 403 to a request to create a Job: {QUOTA}"),
        (
            STRANGE["a success with a page"],
            (
                "the answer of the API server to a request to create a Job cannot be read: "
                "DecodeError: JSON is malformed: invalid character (byte 0)"
            ),
        ),
    ],
)
async def test_an_error_has_the_status_and_the_reason(answer: httpx2.Response, message: str) -> None:
    with pytest.raises(ClusterError) as failure:
        await cluster_with(lambda request: answer).create_job(JOB)
    assert str(failure.value) == message


@pytest.mark.parametrize("code", [400, 403, 404, 422])
async def test_an_answer_that_stays_the_same_refuses_the_request(code: int) -> None:
    with pytest.raises(ClusterError) as failure:
        await cluster_with(lambda request: status(code, "Reason", "no")).create_job(JOB)
    assert failure.value.is_refused


async def test_a_job_that_exists_was_created_by_a_request_whose_answer_was_lost() -> None:
    await cluster_with(lambda request: status(409, "AlreadyExists", "exists")).create_job(JOB)


async def test_a_token_that_was_replaced_is_read_again(tmp_path: Path) -> None:
    """As Kubernetes does every hour with the file of a service account."""
    token = tmp_path / "token"
    token.write_text("first")
    valid = "first"

    def answer(request: httpx2.Request) -> httpx2.Response:
        is_valid = request.headers["authorization"] == f"Bearer {valid}"
        return pods() if is_valid else status(401, "Unauthorized", "Unauthorized")

    cluster = cluster_with(answer, tokenFile=str(token))
    assert await cluster.pods_of(["one"]) == []
    valid = "second"
    with pytest.raises(ClusterError, match="answered 401"):
        await cluster.pods_of(["one"])
    token.unlink()
    with pytest.raises(ClusterError, match=r"did not answer .* Token file .* not found"):
        await cluster.pods_of(["one"])
    token.write_text("second")
    assert await cluster.pods_of(["one"]) == []


@pytest.mark.parametrize("strange", STRANGE.values(), ids=STRANGE)
async def test_the_states_of_pods_are_read_again_after_any_answer(strange: httpx2.Response) -> None:
    answers = [strange]
    cluster = cluster_with(lambda request: answers.pop() if answers else pods(pod_with("Succeeded")))
    watcher = PodWatcher(cluster, MOMENT)
    async with asyncio.timeout(10):
        assert await watcher.next_state(ClaimName.of(CLAIM).digest) == Succeeded()
    await watcher.close()


@pytest.mark.parametrize("strange", STRANGE.values(), ids=STRANGE)
async def test_a_job_is_created_after_any_answer(strange: httpx2.Response, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server_jobs_kubernetes.pods._CREATE_PAUSE", 0.01)
    answers, created = [strange], []

    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.method == "GET":
            return pods(pod_with("Succeeded"))
        if answers:
            return answers.pop()
        if request.method == "POST":
            created.append(request)
        return httpx2.Response(201, json=JOB)

    async with pods_on(cluster_with(answer)) as running, asyncio.timeout(10):
        await running.run(Claimed())
    assert len(created) == 1


async def test_orphans_are_looked_for_after_any_answer() -> None:
    site = Site()
    claim = await site.claim()
    crashed = pod_with("Failed", {"terminated": {"exitCode": 3}})
    labels = {"server-jobs/job-id": claim.id, "server-jobs/claim": ClaimName.of(claim).digest}
    item = crashed.to_dict() | {"metadata": {"labels": labels}}
    found = httpx2.Response(200, json={"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": [item]})
    answers = [*STRANGE.values()]
    orphans = OrphanedPods(cluster_with(lambda request: answers.pop() if answers else found), site.backend())
    for _ in STRANGE:
        await orphans.look(at_once=True)
    await orphans.look(at_once=True)
    assert (await site.store.attempts(claim.id))[0].error_class == "PodFailedError"
