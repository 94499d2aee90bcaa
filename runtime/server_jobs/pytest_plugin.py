"""The pytest plugin: fixtures for jobs in memory or in a temporary database, and a guard of real databases.

pytest loads it in every run. It imports the rest of the package when a test uses it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .stores import real_database

if TYPE_CHECKING:
    from .project import Project
    from .registry import JobRegistry
    from .testing import InMemoryJobs

_ASKS = "jobs_database"
_FIRST = ("jobs_database", "jobs")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"{_ASKS}: let the jobs of this test use the real database of the application")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Refuse real databases while the test and its fixtures run, unless the test has the marker."""
    with real_database.refused_in(None if item.get_closest_marker(_ASKS) else item.nodeid):
        return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Set up `jobs` before the other fixtures of a test, of which one may start the application."""
    if not isinstance(item, pytest.Function):
        return
    names, definitions = item.fixturenames, item._fixtureinfo.name2fixturedefs
    wider = [name for name in names if name in definitions and definitions[name][-1].scope != "function"]
    place = names.index(wider[-1]) + 1 if wider else 0
    for name in _FIRST:
        if name in names[place:]:
            names.remove(name)
            names.insert(place, name)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    """Fail a test whose code caught the refusal, or got it in another thread."""
    result = yield
    if real_database.refused:
        pytest.fail(real_database.refused[0], pytrace=False)
    return result


@pytest.fixture(scope="session")
def jobs_registry(pytestconfig: pytest.Config) -> JobRegistry:
    """The jobs of the project, found as the command line finds them. Override it for a registry of your own."""
    from .project_registry import registry_of

    return registry_of(_project(pytestconfig))


@pytest.fixture
def jobs(jobs_registry: JobRegistry) -> Iterator[InMemoryJobs]:
    """All jobs of this test, in memory. They run when the test calls `jobs.run_jobs()`."""
    from .testing import InMemoryJobs

    with InMemoryJobs(jobs_registry) as jobs:
        yield jobs


@pytest.fixture(scope="session")
def jobs_database_server() -> str | None:
    """The URL of a PostgreSQL server for `jobs_database`; None: SQLite. Override it."""
    return None


@pytest.fixture(scope="session")
def _migrated_sqlite_file(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from .testing.temporary_database import migrated_sqlite_file

    return migrated_sqlite_file(_project(pytestconfig), tmp_path_factory.mktemp("jobs"))


@pytest.fixture
def jobs_database(
    request: pytest.FixtureRequest, jobs_database_server: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[str]:
    """The URL of an empty, migrated database for this test. `connect` and the command line use it.

    The test may use no other database.
    """
    from .databases.opening import open_database
    from .databases.url import DATABASE_URL
    from .testing import temporary_database

    project = _project(request.config)
    if jobs_database_server is None:
        database = temporary_database.copied_sqlite_file(request.getfixturevalue("_migrated_sqlite_file"), tmp_path)
    else:
        database = temporary_database.new_postgres_database(jobs_database_server, project)
    with database as url:
        for variable in {DATABASE_URL, project.url_variable}:
            monkeypatch.setenv(variable, url)
        with real_database.allowed(real_database.place_of(open_database(url))):
            yield url


def _project(config: pytest.Config) -> Project:
    """Return the project around the folder in which pytest was started, or around the root of its configuration."""
    from .errors import ProjectNotFoundError
    from .project import find_project

    try:
        return find_project(config.invocation_params.dir)
    except ProjectNotFoundError:
        return find_project(config.rootpath)
