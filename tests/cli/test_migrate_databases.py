"""`server-jobs migrate` changes our tables in our database, and nothing that belongs to another program."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from server_jobs.domain.table_names import TABLES
from server_jobs.project import project as projects
from sqlalchemy import create_engine, inspect, text

from tests.conformance.hrana_server import HranaServer
from tests.generator.databases import postgres_database
from tests.generator.projects import TemporaryProject, generated_project, job_spec

from .shop import run

ROOT = Path(__file__).parents[2]
VERSIONS = "generated/migrations/versions"
OURS = {*TABLES, "server_jobs_version"}


@pytest.fixture
def project(tmp_path: Path) -> TemporaryProject:
    return generated_project(tmp_path / "project")


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    with postgres_database() as location:
        yield location


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/new.sqlite3"
    else:
        location = str(request.getfixturevalue("postgresql"))
        execute(location, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
        yield location


def new_project(folder: Path) -> TemporaryProject:
    """Return a project as `init` creates it."""
    assert run("init", str(folder)).exit_code == 0
    return TemporaryProject(folder)


def execute(url: str, *statements: str) -> None:
    """Change a database as another program does."""
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def record_as_alembic_does(url: str) -> None:
    """Store the revisions in `alembic_version`, as earlier releases and an application's Alembic do."""
    execute(
        url,
        "CREATE TABLE alembic_version AS SELECT * FROM server_jobs_version",
        "DROP TABLE server_jobs_version",
    )


def rows(url: str, table: str) -> list[tuple[object, ...]]:
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        found = [tuple(row) for row in connection.execute(text(f"SELECT * FROM {table}"))]
    engine.dispose()
    return found


def names(url: str) -> set[str]:
    """Return the tables and views of a database."""
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    inspector = inspect(engine)
    found = {*inspector.get_table_names(), *inspector.get_view_names()}
    engine.dispose()
    return found


def test_the_configuration_of_an_application_is_not_used(
    project: TemporaryProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs, ours = f"sqlite:///{tmp_path}/theirs.sqlite3", f"sqlite:///{tmp_path}/ours.sqlite3"
    project.path("alembic").mkdir()
    project.path("alembic/env.py").write_text("raise SystemExit('the environment of the application was run')\n")
    project.path("alembic.ini").write_text(
        f"[alembic]\nscript_location = %(here)s/alembic\nsqlalchemy.url = {theirs}\nversion_locations = %(here)s/none\n"
    )
    project.path("generated/migrations/env.py").write_text("raise SystemExit('env.py was run')\n")
    monkeypatch.setenv("SERVER_JOBS_DATABASE_URL", ours)
    monkeypatch.chdir(project.root)

    result = project.run("migrate")

    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[0] == f"migrating {ours}"
    assert not (tmp_path / "theirs.sqlite3").exists()
    assert names(ours) >= OURS
    assert project.run("migrate", "--downgrade", "base").exit_code == 0


def test_the_database_is_printed_first_and_without_its_password(project: TemporaryProject) -> None:
    result = project.run("migrate", "--database", "postgresql://ann:secret@127.0.0.1:1/shop")
    assert result.exit_code == 3
    assert result.stdout == "migrating postgresql://ann:***@127.0.0.1:1/shop\n"


def test_beside_djangos_database_no_file_is_made_unless_it_is_named(
    project: TemporaryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.root)
    project.path("manage.py").write_text('os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")')

    refused = project.run("migrate")

    assert refused.exit_code == 3
    assert "run `python manage.py jobs` with the same arguments, or set DJANGO_SETTINGS_MODULE" in refused.stderr
    assert list(project.root.glob("*.sqlite3")) == []
    assert project.run("migrate", "--database", "sqlite:///server-jobs.sqlite3").exit_code == 0
    assert project.run("migrate", "--database", "sqlite:///jobs.sqlite3").exit_code == 0


def test_the_revisions_of_an_application_stay(project: TemporaryProject, url: str) -> None:
    execute(url, "CREATE TABLE alembic_version (version_num TEXT)", "INSERT INTO alembic_version VALUES ('4fe1')")
    assert project.run("migrate", "--database", url).exit_code == 0
    assert rows(url, "alembic_version") == [("4fe1",)]
    assert project.run("migrate", "--database", url, "--downgrade", "base").exit_code == 0
    assert rows(url, "alembic_version") == [("4fe1",)]


def test_revisions_that_the_alembic_of_an_application_runs_are_left_to_it(project: TemporaryProject, url: str) -> None:
    migrate = ("migrate", "--database", url)
    (first, *_), heads = project.run(*migrate).stdout.splitlines()[1:], rows(url, "server_jobs_version")
    record_as_alembic_does(url)
    execute(url, "INSERT INTO alembic_version VALUES ('4fe1')")

    assert project.run(*migrate).exit_code == 0
    assert sorted(rows(url, "alembic_version")) == sorted([*heads, ("4fe1",)])

    execute(url, f"UPDATE alembic_version SET version_num = '{first.split()[1]}' WHERE version_num <> '4fe1'")
    result = project.run(*migrate)
    assert result.exit_code == 3
    assert "run `alembic upgrade heads` with its configuration" in result.stderr


@pytest.mark.parametrize("made", ["TABLE jobs (id INTEGER)", "TABLE paused_queues (id TEXT)", "VIEW jobs AS SELECT 1"])
def test_a_table_of_an_application_is_in_the_way(project: TemporaryProject, url: str, made: str) -> None:
    execute(url, f"CREATE {made}")
    before = names(url)
    result = project.run("migrate", "--database", url)
    assert result.exit_code == 3
    assert (
        f"the database has {made.split()[1]!r} already, which server-jobs did not create. Nothing was" in result.stderr
    )
    advice = 'schema = "server_jobs" under' if url.startswith("postgresql") else "set SERVER_JOBS_DATABASE_URL"
    assert advice in result.stderr
    assert names(url) == before


def test_a_table_of_an_application_is_in_the_way_on_turso(
    project: TemporaryProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TURSO_AUTH_TOKEN", "token")
    with HranaServer(tmp_path / "turso.sqlite3", "token") as server:
        execute(f"sqlite:///{server.path}", "CREATE TABLE jobs (id INTEGER)")
        result = project.run("migrate", "--database", server.url)
        assert result.exit_code == 3
        assert "Use a separate database for server-jobs" in result.stderr
        assert names(f"sqlite:///{server.path}") == {"jobs"}


def test_tables_without_a_recorded_revision_are_left_alone(project: TemporaryProject, url: str) -> None:
    project.run("migrate", "--database", url)
    execute(url, "DROP TABLE server_jobs_version")
    result = project.run("migrate", "--database", url)
    assert result.exit_code == 3
    assert "migrations of your application or plain SQL made them" in result.stderr


@pytest.mark.slow
def test_of_two_new_projects_the_second_is_refused(url: str, tmp_path: Path) -> None:
    shop, blog = (new_project(tmp_path / name) for name in ("shop", "blog"))
    assert shop.run("migrate", "--database", url).exit_code == 0
    result = blog.run("migrate", "--database", url)
    assert result.exit_code == 3
    assert "which this project does not have: it belongs to another project" in result.stderr
    assert shop.run("migrate", "--database", url).exit_code == 0


def test_without_their_names_such_projects_are_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projects, "_name", lambda _document: "")
    made = [{path.name for path in new_project(tmp_path / name).path(VERSIONS).iterdir()} for name in ("shop", "blog")]
    assert made[0] == made[1]


def test_a_second_project_is_refused_in_the_same_place(project: TemporaryProject, url: str, tmp_path: Path) -> None:
    specs = {"send_email": job_spec("SendEmail"), "digest": job_spec("Digest")}
    second = generated_project(tmp_path / "second", specs)
    second.write_spec("report", job_spec("Report"))
    second.generate()
    assert second.run("migrate", "--database", url).exit_code == 0
    before = names(url), rows(url, "server_jobs_version")

    result = project.run("migrate", "--database", url)

    assert result.exit_code == 3
    assert "which this project does not have: it belongs to another project" in result.stderr
    assert "give this project its own" in result.stderr
    assert (names(url), rows(url, "server_jobs_version")) == before
