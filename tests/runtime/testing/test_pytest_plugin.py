"""The pytest plugin, in pytest processes of its own with a small project."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.conformance.stores import create_sqlite_file
from tests.postgres import postgres_url

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[3]

_SETTINGS = """
[tool.server-jobs]
[tool.pytest.ini_options]
addopts = ["-p", "no:cacheprovider", "--strict-markers"]
# The second is about old versions of Starlette with a new anyio.
filterwarnings = ["error", "ignore:The anyio.abc.BlockingPortal alias:DeprecationWarning"]
pythonpath = ["."]
"""

_REGISTRY = """
from server_jobs import create_job_registry, define_job
from pydantic import BaseModel

class Text(BaseModel):
    text: str

async def echo(params, context):
    return params

Echo = define_job(name="Echo", params=Text, result=Text, handler=echo)
registry = create_job_registry().register(Echo)
"""

_IMPORTS = """
import asyncio, subprocess, sys, threading, unittest
import pytest
from generated.registry import Echo, registry
from server_jobs import Backend, RealDatabaseError, connect, tick

PARAMS = {"text": "hello"}
"""

_PASSING = """
def test_plain(jobs):
    Echo.later_sync(PARAMS)
    jobs.assert_enqueued(Echo, text="hello")
    assert jobs.run_jobs()[0].data.text == "hello"

@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_anyio(jobs):
    await Echo.later(PARAMS)
    assert len(await jobs.run_jobs()) == 1

class TestAsyncCase(unittest.IsolatedAsyncioTestCase):
    @pytest.fixture(autouse=True)
    def give_jobs(self, jobs):
        self.jobs = jobs

    async def test_case(self):
        await Echo.later(PARAMS)
        assert len(await self.jobs.run_jobs()) == 1

def application():
    from contextlib import asynccontextmanager
    from fastapi import FastAPI

    @asynccontextmanager
    async def lifespan(app):
        async with connect(registry, "sqlite:///real.sqlite3"):
            yield

    app = FastAPI(lifespan=lifespan)

    @app.post("/async")
    async def enqueue():
        return await Echo.later(PARAMS)

    @app.post("/plain")
    def enqueue_plain():
        return Echo.later_sync(PARAMS)

    return app

@pytest.mark.parametrize("path", ["/async", "/plain"])
@pytest.mark.parametrize("eager", [True, False])
def test_fastapi(jobs, path, eager):
    from fastapi.testclient import TestClient

    jobs.eager = eager
    with TestClient(application()) as client:
        assert client.post(path).json() == jobs.assert_enqueued(Echo).id
        assert len(jobs.run_jobs()) == (not eager)

@pytest.fixture
def client():
    from fastapi.testclient import TestClient

    with TestClient(application()) as client:
        yield client

def test_the_application_may_start_in_a_fixture(client, jobs):
    assert client.post("/async").json() == jobs.assert_enqueued(Echo).id

def test_a_real_database_on_request(jobs_database):
    async def main():
        async with connect(registry) as backend:
            handle = await Echo.later(PARAMS)
            assert (await tick(backend)).completed == 1
            assert backend.name == EXPECTED

    asyncio.run(main())

def test_each_real_database_is_empty(jobs_database):
    async def main():
        async with connect(registry) as backend:
            assert await backend.store.count_jobs() == []

    asyncio.run(main())

@pytest.mark.jobs_database
def test_a_marker_allows_the_database_of_the_application(tmp_path):
    with pytest.raises(Exception, match="there is no SQLite database"):
        asyncio.run(Backend(database=f"sqlite:///{tmp_path}/none.sqlite3", job_registry=registry).initialize())
"""

_REFUSED = """
def open_backend():
    asyncio.run(Backend(database="sqlite:///real.sqlite3", job_registry=registry).initialize())

def test_direct():
    open_backend()

def test_caught():
    with pytest.raises(RealDatabaseError):
        open_backend()

def test_health_check():
    assert not asyncio.run(Backend(database="sqlite:///real.sqlite3", job_registry=registry).health_check()).ok

def test_another_database_than_its_own(jobs_database):
    open_backend()

def test_thread():
    def work():
        with pytest.raises(RealDatabaseError):
            open_backend()
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

def test_later_sync():
    with registry.bound_to(Backend(database="sqlite:///real.sqlite3", job_registry=registry)):
        Echo.later_sync(PARAMS)

def test_transaction():
    from sqlalchemy import create_engine

    with create_engine("sqlite://").begin() as connection:
        Echo.later_in(connection, PARAMS)

def test_command():
    done = subprocess.run([sys.executable, "-m", "server_jobs_cli", "list"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

def test_outside_of_jobs(jobs):
    import sqlite3
    from server_jobs.databases.opening import open_database
    from server_jobs.stores.sql.store import SqlStore
    asyncio.run(SqlStore(open_database("sqlite:///real.sqlite3")).open())
"""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project with the tables of this repository. Its pytest loads only the plugins that a test names."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.path.joinpath("pyproject.toml").write_text(_SETTINGS)
    generated = pytester.mkpydir("generated")
    generated.joinpath("registry.py").write_text(_REGISTRY)
    shutil.copytree(ROOT / "generated/migrations/sql", generated / "migrations/sql")
    return pytester.path


def test_jobs_stay_in_memory_or_in_a_temporary_database(pytester: pytest.Pytester, project: Path) -> None:
    pytester.makepyfile(f"{_IMPORTS}EXPECTED = 'sqlite'\n{_PASSING}")

    result = pytester.runpytest_subprocess("-p", "server-jobs", "-p", "anyio", "-p", "xdist", "-n", "2")

    result.assert_outcomes(passed=11)
    assert not (project / "real.sqlite3").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("project")
def test_the_database_may_be_on_a_postgresql_server(pytester: pytest.Pytester) -> None:
    url = postgres_url().replace("postgresql:", "postgresql+psycopg:")
    server = f"@pytest.fixture(scope='session')\ndef jobs_database_server():\n    return {url!r}\n"
    pytester.makepyfile(f"{_IMPORTS}EXPECTED = 'postgresql'\n{server}{_PASSING}")

    result = pytester.runpytest_subprocess("-p", "server-jobs", "-p", "anyio", "-k", "real_database")

    result.assert_outcomes(passed=2, deselected=9)


def test_a_test_that_did_not_ask_cannot_reach_a_real_database(pytester: pytest.Pytester, project: Path) -> None:
    for name in ("real.sqlite3", "server-jobs.sqlite3"):
        create_sqlite_file(project / name)
    asks = "pytestmark = pytest.mark.jobs_database\n"
    pytester.makepyfile(test_refused=_IMPORTS + _REFUSED, test_allowed=_IMPORTS + asks + _REFUSED)

    result = pytester.runpytest_subprocess("-p", "server-jobs", "-rfp")

    # What the others expect is the refusal; and an own SQLite file in memory has no tables.
    names = ("direct", "another_database_than_its_own", "later_sync", "command", "outside_of_jobs")
    passed = {f"test_allowed.py::test_{name}" for name in names}
    assert {line.split()[1] for line in result.stdout.lines if line.startswith("PASSED")} == passed
    refused = {line.split()[1]: line for line in result.stdout.lines if line.startswith("FAILED test_refused")}
    assert len(refused) == 9
    assert result.stdout.str().count("would reach a real database (") >= 8
