"""Pods that crash, that never start, that are cut off, and workers that die or stop while a pod runs."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest
from server_jobs import JobStatus, Outcome

from tests.valve import Valve

from .site import Site

pytestmark = pytest.mark.slow


def test_a_job_whose_pod_is_killed_is_retried_once(site: Site, tmp_path: Path) -> None:
    job = site.enqueue("Render", f"hold {tmp_path / 'go'}")
    site.start_worker()
    site.wait_for_start(job)
    (tmp_path / "go").touch()
    site.cluster.wait_for_pod().freeze()
    site.cluster.wait_for_pod().kill()
    record = site.wait_for(job)
    assert (record.status, record.attempt_count) == (JobStatus.COMPLETED, 2)
    assert json.loads(record.result or "")["text"].endswith("in attempt 2")
    assert len(site.runs(job)) == 2
    (attempt,) = site.attempts(job)
    assert (attempt.outcome, attempt.error_class) == (Outcome.FAILED, "PodFailedError")
    expected = "PodFailedError: the pod of Render exited with code 137 (signal 9) before it stored an outcome"
    assert (attempt.error or "").startswith(expected)


def test_a_pod_that_uses_too_much_memory_fails_the_attempt(site: Site) -> None:
    job = site.enqueue("Render", "fill")
    worker = site.start_worker()
    record = site.wait_for(job)
    assert (record.status, record.attempt_count) == (JobStatus.FAILED, 2)
    expected = "was killed because it used more memory than its limit: OOMKilled, exit code 137 (signal 9)"
    assert record.error == f"PodFailedError: the pod of Render {expected}"
    worker.wait_for(rf"Render {job} failed for good .*OOMKilled")
    assert len(site.cluster.jobs) == 2  # for a look; the cluster deletes them later
    assert all(one["spec"]["ttlSecondsAfterFinished"] == 600 for one in site.cluster.jobs.values())


def test_the_reason_of_an_eviction_is_the_error_of_the_attempt(site: Site, tmp_path: Path) -> None:
    job = site.enqueue("Render", f"hold {tmp_path / 'go'}")
    site.start_worker()
    site.wait_for_start(job)
    site.cluster.wait_for_pod().evict("The node was low on resource: memory.")
    (tmp_path / "go").touch()
    assert site.wait_for(job).status is JobStatus.COMPLETED
    (attempt,) = site.attempts(job)
    expected = "PodFailedError: the pod of Render was ended: Evicted: The node was low on resource: memory.; exited"
    assert (attempt.error or "").startswith(expected)


def test_a_drained_node_releases_the_job_without_using_up_the_attempt(site: Site, tmp_path: Path) -> None:
    job = site.enqueue("Render", f"hold {tmp_path / 'go'}")
    site.start_worker()
    site.wait_for_start(job)
    site.cluster.delete_pod(site.cluster.wait_for_pod())
    site.wait_for_start(job, runs=2)
    (tmp_path / "go").touch()
    record = site.wait_for(job)
    assert (record.status, record.attempt_count) == (JobStatus.COMPLETED, 1)
    assert [one.outcome for one in site.attempts(job)] == [Outcome.RELEASED]


def test_a_pod_without_an_image_fails_the_attempt_at_once(site: Site) -> None:
    job = site.enqueue("Strange", "hello")
    site.start_worker()
    record = site.wait_for(job)
    assert record.status is JobStatus.FAILED
    reason = 'did not start: ImagePullBackOff: Back-off pulling image "registry.example.com/nothing:1"'
    assert record.error == f"PodFailedError: the pod of Strange {reason}"
    site.cluster.wait_until(lambda: not site.cluster.jobs)


def test_a_pod_that_no_node_can_run_fails_the_attempt_in_time(site: Site) -> None:
    job = site.enqueue("Huge", "hello")
    site.start_worker(variables={"JOBS_POD_START_TIMEOUT": "1s"})
    record = site.wait_for(job)
    assert record.status is JobStatus.FAILED
    reason = "did not start within 1s: Unschedulable: 0/1 nodes are available: 1 Insufficient cpu."
    assert record.error == f"PodFailedError: the pod of Huge {reason}"
    site.cluster.wait_until(lambda: not site.cluster.jobs)


def test_a_pod_ends_its_job_after_its_worker_was_killed(site: Site, tmp_path: Path) -> None:
    job = site.enqueue("Render", f"hold {tmp_path / 'go'}")
    worker = site.start_worker()
    site.wait_for_start(job)
    worker.process.kill()
    site.start_worker()  # it would take the job over
    time.sleep(5)  # more than two leases
    (tmp_path / "go").touch()
    record = site.wait_for(job)
    assert (record.status, record.attempt_count) == (JobStatus.COMPLETED, 1)
    assert site.runs(job) == ["1 test"]


def test_the_next_worker_finds_out_why_a_pod_crashed_after_its_worker_was_killed(site: Site, tmp_path: Path) -> None:
    job = site.enqueue("Render", f"hold {tmp_path / 'go'}")
    worker = site.start_worker("--lease", "10m")
    site.wait_for_start(job)
    worker.process.kill()
    site.cluster.wait_for_pod().evict("The node was low on resource: memory.")
    (tmp_path / "go").touch()
    site.start_worker("--lease", "10m")
    record = site.wait_for(job)
    assert (record.status, record.attempt_count) == (JobStatus.COMPLETED, 2)
    (attempt,) = site.attempts(job)
    assert (attempt.outcome, attempt.error_class) == (Outcome.FAILED, "PodFailedError")
    assert "was ended: Evicted: The node was low on resource: memory." in (attempt.error or "")


def test_a_worker_that_stops_leaves_its_running_pods(site: Site, tmp_path: Path) -> None:
    job = site.enqueue("Render", f"hold {tmp_path / 'go'}")
    worker = site.start_worker()
    site.wait_for_start(job)
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0
    assert f"Render {job} goes on in its pod" in worker.text
    time.sleep(5)  # more than two leases
    assert site.read(job).status is JobStatus.RUNNING
    (tmp_path / "go").touch()
    record = site.wait_for(job)
    assert (record.status, record.attempt_count) == (JobStatus.COMPLETED, 1)
    assert site.runs(job) == ["1 test"]


def test_a_worker_that_stops_takes_back_a_pod_that_has_not_started(site: Site) -> None:
    site.cluster.holds_pods = True
    job = site.enqueue("Render", "hello")
    worker = site.start_worker()
    site.cluster.wait_for_pod()
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0
    record = site.read(job)
    assert (record.status, record.attempt_count) == (JobStatus.PENDING, 0)
    site.cluster.wait_until(lambda: not site.cluster.jobs)


def test_a_pod_that_was_cut_off_writes_nothing_over_a_newer_attempt(site: Site, tmp_path: Path) -> None:
    job = site.enqueue("Render", f"hold {tmp_path / 'go'}")
    worker = site.start_worker()
    site.wait_for_start(job)
    worker.process.kill()
    first = site.cluster.wait_for_pod()
    first.freeze()  # until another worker has run the job
    site.start_worker()
    site.wait_for_start(job, runs=2)
    (tmp_path / "go").touch()
    record = site.wait_for(job)
    assert (record.status, record.attempt_count) == (JobStatus.COMPLETED, 2)
    first.thaw()
    site.cluster.wait_until(lambda: not first.is_running)
    assert first.document["status"]["phase"] == "Failed"
    assert site.read(job) == record


def test_a_pod_that_starts_too_late_does_not_run_its_handler(site: Site) -> None:
    site.cluster.holds_pods = True
    job = site.enqueue("Render", "hello")
    worker = site.start_worker()
    late = site.cluster.wait_for_pod()
    worker.process.kill()
    site.cluster.holds_pods = False
    site.start_worker()
    record = site.wait_for(job)
    assert (record.status, record.attempt_count) == (JobStatus.COMPLETED, 2)
    site.cluster.wait_until(lambda: late.name not in site.cluster.pods)  # deleted; as if it had started just before
    late.start()
    site.cluster.wait_until(lambda: not late.is_running)
    assert late.document["status"]["phase"] == "Succeeded"
    assert f"job {job}: this claim is not the newest" in late.log.read_text()
    assert site.runs(job) == ["2 test"]


def test_jobs_survive_an_api_server_that_is_away(site: Site, tmp_path: Path) -> None:
    with Valve(("127.0.0.1", site.cluster.port)) as valve:
        running = site.enqueue("Render", f"hold {tmp_path / 'go'}")
        worker = site.start_worker(port=valve.port)
        site.wait_for_start(running)
        valve.target = ("127.0.0.1", 1)
        valve.forget()
        worker.wait_for("the pods of this worker cannot be read, trying again")
        waiting = site.enqueue("Render", "hello")
        worker.wait_for(rf"Render {waiting}: the API server did not answer a request to create a Job")
        (tmp_path / "go").touch()
        assert site.wait_for(running).status is JobStatus.COMPLETED  # the pod needs the database only
        valve.target = ("127.0.0.1", site.cluster.port)
        worker.wait_for("the pods of this worker can be read again")
        assert site.wait_for(waiting).status is JobStatus.COMPLETED
    assert [site.runs(job) for job in (running, waiting)] == [["1 test"]] * 2
