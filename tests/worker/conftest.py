"""The Workers that these tests share: each is built once, and each process of the run starts its own copy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from server_jobs_cloudflare import CloudflareWorkerBackend

from tests.once import made_once, shared_folder
from tests.worker import tools
from tests.worker.chores.jobs import REGISTRY
from tests.worker.project import WITHOUT_ALARM, WorkerProject, new_project, repository_project, suite_project
from tests.worker.workerd import RemoteD1, Workerd

CHORES = Path(__file__).parent / "chores"
TENANTS = Path(__file__).parent / "tenants"


Shared = Callable[[str, Callable[[Path], WorkerProject]], WorkerProject]


def pytest_sessionstart(session: pytest.Session) -> None:
    """Install the tools before the processes of this run start. Skip the tests only if npm cannot be reached."""
    if hasattr(session.config, "workerinput") or session.config.option.collectonly:
        return
    try:
        tools.install()
    except tools.NpmUnreachableError as error:
        pytest.exit(f"the tests in workerd are left out: {error}", returncode=0)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Shared:
    """Return a function that makes a project once for all processes of this run. Tests serve and change copies."""
    folder = shared_folder(tmp_path_factory, worker_id)

    def project(name: str, make: Callable[[Path], WorkerProject]) -> WorkerProject:
        return WorkerProject(made_once(folder / f"shared-{name}", lambda parent: make(parent / name).root))

    return project


@pytest.fixture(scope="session")
def repository_worker(shared: Shared, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workerd]:
    """This repository's own Worker."""

    def make(root: Path) -> WorkerProject:
        project = repository_project(root)
        project.install()
        project.build()
        return project

    with Workerd(shared("repository", make).copy(tmp_path_factory.mktemp("served") / "repository")) as worker:
        yield worker


@pytest.fixture(scope="session")
def chores_project(shared: Shared) -> WorkerProject:
    """Return a project of jobs for these tests, to be copied and served."""

    def make(root: Path) -> WorkerProject:
        project = new_project(root, CHORES)
        for with_alarm, without in WITHOUT_ALARM:  # these tests decide when a tick runs
            project.edit("generated/worker/wrangler.jsonc", with_alarm, without)
        project.install()
        project.build()
        return project

    return shared("chores", make)


@pytest.fixture(scope="session")
def tenants_project(shared: Shared) -> WorkerProject:
    """Return a project with one store per tenant."""

    def make(root: Path) -> WorkerProject:
        project = new_project(root, TENANTS, '\n[tool.server-jobs.cloudflare]\nstore = "durable-objects"\n')
        project.install()
        project.build()
        return project

    return shared("notes", make)


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
def suite_worker(
    shared: Shared, chores_project: WorkerProject, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Workerd]:
    """Yield a Worker that runs tests of this repository on request."""

    def make(root: Path) -> WorkerProject:
        project = suite_project(chores_project, root)
        project.install(tests=True)
        project.build()
        return project

    with Workerd(shared("suite", make).copy(tmp_path_factory.mktemp("served") / "suite")) as worker:
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
