"""The Workers that these tests share, each built and started once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from server_jobs.cloudflare import CloudflareWorkerBackend

from tests.worker import tools
from tests.worker.chores.jobs import REGISTRY
from tests.worker.project import WITHOUT_ALARM, WorkerProject, new_project, repository_project, suite_project
from tests.worker.workerd import RemoteD1, Workerd

CHORES = Path(__file__).parent / "chores"
TENANTS = Path(__file__).parent / "tenants"


@pytest.fixture(scope="session")
def _tools() -> None:
    """Install the tools of a Worker. The tests are skipped only if npm cannot be reached."""
    try:
        tools.install()
    except tools.NpmUnreachableError as error:
        pytest.exit(f"the tests in workerd are left out: {error}", returncode=0)


@pytest.fixture(scope="session")
def repository_worker(_tools: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workerd]:
    """This repository's own Worker."""
    project = repository_project(tmp_path_factory.mktemp("repository"))
    project.install()
    project.build()
    with Workerd(project) as worker:
        yield worker


@pytest.fixture(scope="session")
def chores_project(_tools: None, tmp_path_factory: pytest.TempPathFactory) -> WorkerProject:
    """Return a project of jobs for these tests, to be copied and served."""
    project = new_project(tmp_path_factory.mktemp("projects") / "chores", CHORES)
    for with_alarm, without in WITHOUT_ALARM:  # these tests decide when a tick runs
        project.edit("generated/worker/wrangler.jsonc", with_alarm, without)
    project.install()
    project.build()
    return project


@pytest.fixture(scope="session")
def tenants_project(_tools: None, tmp_path_factory: pytest.TempPathFactory) -> WorkerProject:
    """Return a project with one store per tenant."""
    root = tmp_path_factory.mktemp("tenants") / "notes"
    project = new_project(root, TENANTS, '\n[tool.server-jobs.cloudflare]\nstore = "durable-objects"\n')
    project.install()
    project.build()
    return project


@pytest.fixture(scope="session")
def tenants_worker(tenants_project: WorkerProject, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workerd]:
    """Yield its Worker."""
    with Workerd(tenants_project.copy(tmp_path_factory.mktemp("served") / "notes")) as worker:
        yield worker


@pytest.fixture(scope="session")
def chores_worker(chores_project: WorkerProject, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workerd]:
    """Yield its Worker."""
    with Workerd(chores_project.copy(tmp_path_factory.mktemp("served") / "chores")) as worker:
        yield worker


@pytest.fixture(scope="session")
def suite_worker(chores_project: WorkerProject, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workerd]:
    """Yield a Worker that runs tests of this repository on request."""
    project = suite_project(chores_project, tmp_path_factory.mktemp("suite") / "suite")
    project.install(tests=True)
    project.build()
    with Workerd(project) as worker:
        yield worker


@pytest.fixture
def worker(chores_worker: Workerd) -> Workerd:
    """Return the same Worker without jobs, and with its schedule disabled."""
    for table in ("jobs", "job_starts", "paused_queues", "job_audit", "job_attempts", "job_workers", "job_counts"):
        chores_worker.sql(f"DELETE FROM {table}")
    chores_worker.sql("UPDATE cron_jobs SET enabled = 0, next_run_at = NULL")
    return chores_worker


@pytest.fixture
def backend(worker: Workerd) -> CloudflareWorkerBackend:
    """Return the backend of an application that shares its D1."""
    return CloudflareWorkerBackend(database=RemoteD1(worker), job_registry=REGISTRY)
