"""Workers that cannot start pods: the error names the reason and the remedy."""

from __future__ import annotations

from pathlib import Path

import pytest
from server_jobs import JobStatus

from tests.valve import Valve

from .site import Site

NOWHERE = ("127.0.0.1", 1)
UNUSABLE, WRONG_USAGE = 3, 2


def error_of(site: Site, *options: str, status: int = UNUSABLE, **variables: str) -> str:
    """Start a worker that cannot work, and return its error."""
    worker = site.start_worker(*options, variables=variables)
    assert worker.wait() == status, worker.text
    return worker.lines[-1].strip()


def test_a_missing_permission_is_named(site: Site) -> None:
    site.cluster.denied |= {"create jobs", "list pods"}
    assert error_of(site) == (
        "Error: this worker may not create jobs, list pods in the namespace shop; bind its service account to a Role "
        "with these verbs, see docs/how-to/kubernetes-jobs.md"
    )


@pytest.mark.slow
def test_a_refused_token_is_named(site: Site, tmp_path: Path) -> None:
    config = tmp_path / "another"
    config.write_text(site.cluster.kubeconfig().read_text().replace("token-of-the-worker", "another"))
    expected = "Error: the API server answered 401 to a request to check its permissions: Unauthorized"
    assert error_of(site, KUBECONFIG=str(config)) == expected


@pytest.mark.slow
def test_a_permission_that_is_lost_later_fails_the_attempt_with_the_reason(site: Site) -> None:
    site.start_worker().wait_for("jobs: ")
    site.cluster.denied.add("create jobs")
    record = site.wait_for(site.enqueue("Render", "hello"))
    assert record.error == (
        "PodFailedError: the pod of Render could not be created: the API server answered 403 to a request to create a "
        "Job: forbidden: User cannot create jobs in the namespace 'shop'"
    )


@pytest.mark.slow
def test_a_worker_outside_of_a_cluster_is_told_how_to_reach_one(site: Site, tmp_path: Path) -> None:
    missing = str(tmp_path / "nothing")
    assert f"there is no access to a Kubernetes cluster ({missing}): " in error_of(site, KUBECONFIG=missing)
    assert error_of(site, JOBS_POD="").startswith("Error: JOBS_POD is not set")
    mistake = error_of(site, status=WRONG_USAGE, JOBS_POD_START_TIMEOUT="soon")
    assert mistake.startswith("Error: JOBS_POD_START_TIMEOUT: 'soon' is not a duration; write a number and a unit")


@pytest.mark.slow
@pytest.mark.parametrize("is_silent", [False, True])
def test_a_worker_waits_for_an_api_server_that_is_away_and_runs_its_other_jobs(site: Site, is_silent: bool) -> None:
    here = ("127.0.0.1", site.cluster.port)
    with Valve(here if is_silent else NOWHERE) as valve:
        valve.is_shut = is_silent
        worker = site.start_worker(port=valve.port, variables={"SHOP_MODE": "worker"})
        worker.wait_for("kubernetes is away, so these jobs wait: Huge, Limited, Render, Strange, Timed: ")
        in_pod, other = site.enqueue("Render", "hello"), site.enqueue("Note", "hello")
        assert site.wait_for(other).status is JobStatus.COMPLETED
        assert site.read(in_pod).attempt_count == 0

        valve.is_shut, valve.target = False, here
        valve.forget()
        worker.wait_for("kubernetes answers, and its jobs run")
        assert site.wait_for(in_pod).status is JobStatus.COMPLETED
        worker.signal()
        assert worker.wait() == 0, worker.text


@pytest.mark.slow
def test_a_worker_that_waits_for_an_api_server_stops_in_time(site: Site) -> None:
    with Valve(NOWHERE) as valve:
        worker = site.start_worker(port=valve.port)
        worker.wait_for("kubernetes is away")
        worker.wait_for("jobs: ")
        worker.signal()
        assert worker.wait() == 0, worker.text


@pytest.mark.slow
def test_a_database_that_pods_cannot_reach_is_refused(site: Site, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'jobs.sqlite3'}"
    site.server_jobs("migrate", "--database", url)
    expected = (
        'Error: "runIn": "kubernetes" of Huge, Limited, Render, Strange, Timed needs a database that other '
        "machines can reach, and this one is sqlite; use PostgreSQL, or another runIn"
    )
    assert error_of(site, "--database", url, status=WRONG_USAGE) == expected


@pytest.mark.slow
def test_a_worker_whose_queues_have_no_job_in_pods_needs_no_cluster(site: Site) -> None:
    worker = site.start_worker("--queues", "mail", "--until-empty", variables={"KUBECONFIG": "", "JOBS_POD": ""})
    assert worker.wait() == 0, worker.text
