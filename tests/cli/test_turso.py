"""The command line on a Turso database, which Alembic cannot connect to."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from server_jobs.domain.interfaces import Row, Statement, Value
from server_jobs.errors import DatabaseError, ProjectError
from server_jobs.schema import metadata
from server_jobs_cli.console.workspace import Workspace
from server_jobs_cli.plain_sql import PlainRevision, plain_revisions, recorded, upgrade
from server_jobs_turso.database import TursoDatabase
from sqlalchemy import create_engine, inspect

from tests.conformance.hrana_server import HranaServer
from tests.generator.projects import (
    TemporaryProject,
    generated_project,
    job_spec,
    make_project,
    schedule,
    without_digests,
)

from .shop import REGISTRY, ROOT, run
from .test_migrate import TABLES, tables

TOKEN = "a-token-of-the-tests"
NEWEST = max(path.stem.rpartition("_")[0] for path in (ROOT / "generated/migrations/versions").glob("server_jobs_*.py"))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> TemporaryProject:
    """Return a generated project with a job whose schedule has an awkward text."""
    spec = job_spec("Report", schedules=[schedule(params={"text": 'it\'s at :noon; -- "always"\n?'})])
    project = make_project(tmp_path_factory.mktemp("project"), {"report": spec})
    project.generate()
    return project


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HranaServer]:
    """Yield a server with an empty database, and its token in the environment."""
    monkeypatch.setenv("TURSO_AUTH_TOKEN", TOKEN)
    with HranaServer(tmp_path / "turso.sqlite3", TOKEN) as server:
        yield server


async def opened(server: HranaServer) -> TursoDatabase:
    database = TursoDatabase(server.url)
    await database.open()
    return database


def test_a_new_database_gets_the_tables_and_a_second_run_does_nothing(
    project: TemporaryProject, server: HranaServer
) -> None:
    first = project.run("migrate", "--database", server.url)
    assert first.exit_code == 0, first.output
    assert without_digests(first.stdout).splitlines() == [
        f"migrating {server.url}",
        "upgrade server_jobs_0001  tables",
        "upgrade server_jobs_0002  schedules",
        "upgrade server_jobs_0003  views",
        f"{server.url} is now at server_jobs_0003 (head)",
    ]
    assert tables(server.path) == TABLES
    with closing(sqlite3.connect(server.path)) as connection:
        (params,) = connection.execute("SELECT params FROM cron_jobs").fetchone()
    assert json.loads(params) == {"text": 'it\'s at :noon; -- "always"\n?'}

    server.forget()
    second = project.run("migrate", "--database", server.url)
    assert without_digests(second.stdout) == f"migrating {server.url}\n{server.url} is at server_jobs_0003 (head)\n"
    assert [sql for sql in server.statements if "SELECT" not in sql] == []


def test_the_database_may_come_from_the_variables_of_turso(
    project: TemporaryProject, server: HranaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TURSO_DATABASE_URL", server.url)

    document = json.loads(project.run("migrate", "--json").stdout)

    assert [without_digests(step["revision"]) for step in document["ran"]] == [
        "server_jobs_0001",
        "server_jobs_0002",
        "server_jobs_0003",
    ]
    assert (document["database"], document["heads"]) == (server.url, [document["ran"][-1]["revision"]])


def test_one_revision_at_a_time_leads_to_the_same_and_alembic_can_go_on(server: HranaServer) -> None:
    for number in (1, 2):
        result = run(
            "migrate", "--project", str(ROOT), "--database", server.url, "--revision", f"server_jobs_{number:04}"
        )
        assert result.exit_code == 0, result.output
        assert without_digests(result.stdout).splitlines()[-1] == f"{server.url} is now at server_jobs_{number:04}"

    alembic = run("migrate", "--project", str(ROOT), "--database", f"sqlite:///{server.path}")
    assert alembic.stdout.splitlines()[1].startswith("upgrade server_jobs_0003")
    assert (
        run("migrate", "--project", str(ROOT), "--database", server.url).stdout
        == f"migrating {server.url}\n{server.url} is at {NEWEST} (head)\n"
    )
    engine = create_engine(f"sqlite:///{server.path}")
    indexes = {index["name"] for index in inspect(engine).get_indexes("jobs")}
    engine.dispose()
    assert indexes == {index.name for index in metadata.tables["jobs"].indexes}


async def test_a_revision_that_fails_leaves_nothing_behind(server: HranaServer) -> None:
    database = await opened(server)
    revisions = plain_revisions(Workspace(folder=ROOT))
    statements = ("CREATE TABLE more (a)", "CREATE TABEL x (a)")
    broken = [*revisions, PlainRevision("server_jobs_9999", "broken", (NEWEST,), statements)]
    try:
        with pytest.raises(DatabaseError, match="TABEL"):
            await upgrade(database, broken, "head")
        assert tables(server.path) == set()
        assert (await recorded(database)).revisions == frozenset()
        assert len(await upgrade(database, revisions, "head")) == len(revisions)
        with pytest.raises(DatabaseError, match="TABEL"):
            await upgrade(database, broken, "head")
        assert (await recorded(database)).revisions == {NEWEST}
        assert "more" not in tables(server.path)
    finally:
        await database.close()


async def test_two_who_migrate_at_the_same_time_do_it_once(server: HranaServer) -> None:
    database = await opened(server)
    revisions = plain_revisions(Workspace(folder=ROOT))
    try:
        ran = await asyncio.gather(*(upgrade(database, revisions, "head") for _ in range(4)))
    finally:
        await database.close()

    assert sorted(len(one) for one in ran) == [0, 0, 0, len(revisions)]


class Overtaken(TursoDatabase):
    """A database that another process migrates during one of its calls."""

    def __init__(self, url: str, calls: int, migrate: Callable[[], Awaitable[object]]) -> None:
        super().__init__(url)
        self._calls_left, self._migrate = calls, migrate

    async def run(
        self, *calls: tuple[Statement, Mapping[str, Value]], look: tuple[Statement, Mapping[str, Value]] | None = None
    ) -> Sequence[Sequence[Row]]:
        rows = await super().run(*calls, look=look)
        self._calls_left -= 1
        if self._calls_left == 0:
            await self._migrate()
        return rows


@pytest.mark.parametrize("calls", [1, 2])
async def test_a_scheduler_overtaken_between_two_reads_does_nothing(server: HranaServer, calls: int) -> None:
    other = await opened(server)
    revisions = plain_revisions(Workspace(folder=ROOT))
    database = Overtaken(server.url, calls, lambda: upgrade(other, revisions, "head"))
    await database.open()
    try:
        ran = await upgrade(database, revisions, "head")
        found = await recorded(other)
    finally:
        await database.close()
        await other.close()

    assert (ran, found.revisions) == ([], frozenset({NEWEST}))


def test_sql_is_printed_for_an_empty_database_and_none_is_touched(
    project: TemporaryProject, server: HranaServer, tmp_path: Path
) -> None:
    result = project.run("migrate", "--sql", "--database", server.url)

    assert (result.exit_code, server.posts) == (0, 0)
    with closing(sqlite3.connect(tmp_path / "by_hand.sqlite3")) as connection:
        connection.executescript(result.stdout)
        (version,) = connection.execute("SELECT version_num FROM server_jobs_version").fetchone()
    assert without_digests(version) == "server_jobs_0003"
    assert tables(tmp_path / "by_hand.sqlite3") == TABLES


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--downgrade", "base"], "cannot be downgraded"),
        (["--revision", "nope"], "there is no revision 'nope'; there are server_jobs_0001"),
        (["--database", "libsql://127.0.0.1:1?tls=0"], "no server answers at libsql://127.0.0.1:1"),
        (["--database", "http://example.com"], "would send the token in the clear"),
        (["--database", "libsql://x.turso.io?authToken=secret&x=1"], "authToken=***&x=***' has the unknown option 'x'"),
    ],
)
def test_impossible_versions_are_reported_in_one_message(
    project: TemporaryProject, server: HranaServer, arguments: list[str], problem: str
) -> None:
    result = project.run("migrate", "--database", server.url, *arguments)

    assert (result.exit_code, "upgrade" in result.stdout) == (3, False)
    assert problem in result.stderr
    assert "secret" not in result.stderr
    assert TOKEN not in result.stderr


def test_a_database_of_a_newer_release_is_left_alone(project: TemporaryProject, server: HranaServer) -> None:
    assert run("migrate", "--project", str(ROOT), "--database", server.url).exit_code == 0

    result = project.run("migrate", "--database", server.url)

    assert result.exit_code == 3
    assert f"at the revision {NEWEST}, which the project does not have" in result.stderr


def test_before_anything_is_generated_there_is_nothing_to_run(server: HranaServer, tmp_path: Path) -> None:
    result = make_project(tmp_path / "early").run("migrate", "--database", server.url)

    assert result.exit_code == 3
    assert "there are no migrations yet" in result.stderr


def test_a_file_that_was_cut_off_is_not_half_executed(tmp_path: Path) -> None:
    project = generated_project(tmp_path / "cut")
    path = project.path("generated/migrations/sql/sqlite/0001_tables.sql")
    path.write_text(path.read_text()[:-40])

    with pytest.raises(ProjectError, match="ends in the middle of a statement"):
        plain_revisions(Workspace(folder=project.root))


@pytest.mark.slow
def test_the_doctor_checks_the_revision(project: TemporaryProject, server: HranaServer) -> None:
    def examine() -> list[dict[str, str]]:
        # As a child process, because the registry of a project is imported, and other projects have equal names.
        command = [sys.executable, "-m", "server_jobs_cli", "doctor", "--database", server.url, "--json"]
        done = subprocess.run(command, cwd=project.root, capture_output=True, text=True, check=False)
        found: list[dict[str, str]] = json.loads(done.stdout)
        return found

    assert "no such table: jobs; run `server-jobs migrate`" in str(examine())
    project.run("migrate", "--database", server.url, "--revision", "server_jobs_0001")
    said = without_digests(str(examine()))
    assert "the tables are at server_jobs_0001, and the newest is server_jobs_0003" in said
    project.run("migrate", "--database", server.url)
    findings = examine()
    assert [one["message"] for one in findings if one["verdict"] == "fail"] == []
    assert "the tables are at the newest revision (server_jobs_0003)" in without_digests(str(findings))
    assert f"the database {server.url} answers" in str(findings)


def test_jobs_are_enqueued_run_and_listed(server: HranaServer) -> None:
    shop = ["--project", str(ROOT), "--registry", REGISTRY, "--database", server.url]
    assert run("migrate", "--project", str(ROOT), "--database", server.url).exit_code == 0
    enqueued = run("enqueue", *shop, "Shout", "--params", '{"text": "it\'s \\"quoted\\""}')
    assert enqueued.exit_code == 0, enqueued.output

    assert run("tick", *shop).exit_code == 0

    shown = json.loads(run("show", *shop, enqueued.stdout.strip(), "--json").stdout)
    assert (shown["status"], shown["params"]["text"]) == ("completed", 'it\'s "quoted"')
    assert server.open_streams == 0


def test_a_token_that_is_refused_is_an_error_that_names_the_variable(
    server: HranaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TURSO_AUTH_TOKEN", "another-token")
    result = run("list", "--database", server.url)

    assert result.exit_code == 3
    assert "set the environment variable TURSO_AUTH_TOKEN" in result.stderr
    assert "another-token" not in result.stderr
