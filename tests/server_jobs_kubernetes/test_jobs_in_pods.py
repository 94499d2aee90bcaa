"""Jobs with `"runIn": "kubernetes"`: the real worker, a process per pod, and the API server over HTTP."""

from __future__ import annotations

import json
import re
import signal
import time
from pathlib import Path

import pytest
from server_jobs import JobStatus, Outcome

from .site import Site


def test_a_job_runs_in_a_pod_with_the_environment_of_its_worker(site: Site) -> None:
    job = site.enqueue("Render", "hello")
    worker = site.start_worker()
    record = site.wait_for(job)
    assert record.status is JobStatus.COMPLETED, record.error
    assert json.loads(record.result or "") == {"text": "hello in attempt 1"}
    assert (record.progress, record.progress_message) == (100, "drawing")
    assert site.runs(job) == ["1 test"]
    worker.wait_for(rf"Render {job} completed in")
    site.cluster.wait_until(lambda: not site.cluster.jobs)
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0


@pytest.mark.slow
def test_a_handler_fails_as_elsewhere(site: Site) -> None:
    job = site.enqueue("Render", "fail no ink")
    worker = site.start_worker()
    record = site.wait_for(job)
    assert record.status is JobStatus.FAILED
    assert re.fullmatch(r"ValueError: no ink \(at handlers/render.py:\d+ in handle\)", record.error or "")
    attempts = site.attempts(job)
    assert [(one.attempt, one.outcome, one.error_class) for one in attempts] == [
        (1, Outcome.FAILED, "ValueError"),
        (2, Outcome.FAILED, "ValueError"),
    ]
    assert "raise ValueError(rest)" in (attempts[0].traceback or "")
    worker.wait_for(rf"Render {job} failed in its pod in attempt 2 of 2 after .*: ValueError: no ink")


@pytest.mark.slow
def test_progress_and_log_lines_come_while_the_job_runs(site: Site, tmp_path: Path) -> None:
    job = site.enqueue("Render", f"hold {tmp_path / 'go'}")
    site.start_worker()
    site.wait_for_start(job)
    site.cluster.wait_until(lambda: site.read(job).progress == 40)
    assert site.read(job).progress_message == "drawing"
    assert f"[Render {job} attempt 1] at work" in site.cluster.wait_for_pod().log.read_text()
    (tmp_path / "go").touch()
    assert site.wait_for(job).status is JobStatus.COMPLETED


@pytest.mark.slow
def test_a_cancelled_job_ends_in_its_pod(site: Site, tmp_path: Path) -> None:
    job = site.enqueue("Render", f"hold {tmp_path / 'never'}")
    worker = site.start_worker()
    site.wait_for_start(job)
    site.server_jobs("cancel", job)
    assert site.wait_for(job).status is JobStatus.CANCELLED
    worker.wait_for(rf"Render {job} cancelled after")
    site.cluster.wait_until(lambda: not site.cluster.jobs and not site.cluster.pods)


@pytest.mark.slow
def test_a_job_is_cancelled_before_its_pod_starts(site: Site) -> None:
    site.cluster.holds_pods = True
    job = site.enqueue("Render", "hello")
    site.start_worker()
    site.cluster.wait_for_pod()
    site.server_jobs("cancel", job)
    assert site.wait_for(job).status is JobStatus.CANCELLED
    site.cluster.wait_until(lambda: not site.cluster.jobs and not site.cluster.pods)
    assert site.runs(job) == []


@pytest.mark.slow
def test_a_timeout_ends_the_handler(site: Site) -> None:
    job = site.enqueue("Timed", "sleep 60")
    site.start_worker()
    record = site.wait_for(job)
    assert record.status is JobStatus.FAILED
    assert record.error == "TimeoutError: the handler did not return within its timeout of 1s"
    assert [one.outcome for one in site.attempts(job)] == [Outcome.TIMED_OUT]


@pytest.mark.slow
def test_a_limit_holds_over_all_pods(site: Site) -> None:
    jobs = [site.enqueue("Limited", "sleep 0.3") for _ in range(6)]
    site.start_worker("--concurrency", "6")
    most = 0
    while not all(site.read(job).status.is_finished for job in jobs):
        most = max(most, sum(pod.is_running for pod in list(site.cluster.pods.values())))
        time.sleep(0.05)
    assert {site.read(job).status for job in jobs} == {JobStatus.COMPLETED}
    assert [site.runs(job) for job in jobs] == [["1 test"]] * 6
    # A pod that has stored its outcome takes a moment to exit.
    assert most <= 4


@pytest.mark.slow
def test_ten_jobs_run_in_ten_pods_at_the_same_time(site: Site, tmp_path: Path) -> None:
    jobs = [site.enqueue("Render", f"hold {tmp_path / 'go'}") for _ in range(10)]
    site.start_worker("--concurrency", "10")
    site.cluster.wait_until(lambda: all(site.runs(job) for job in jobs), 120)
    before = site.cluster.requests.count("list pods")
    time.sleep(2)
    assert site.cluster.requests.count("list pods") - before <= 25  # one request for all pods, ten times a second
    (tmp_path / "go").touch()
    assert {site.wait_for(job).status for job in jobs} == {JobStatus.COMPLETED}
    assert [site.runs(job) for job in jobs] == [["1 test"]] * 10
