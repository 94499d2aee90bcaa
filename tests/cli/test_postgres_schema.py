"""Two projects and an application in one PostgreSQL database, each with a table named `jobs`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import psycopg.sql
import pytest

from tests.conformance.postgres.postgres_roles import documented_roles
from tests.docs.pages import ROOT, block
from tests.generator.databases import postgres_database
from tests.generator.projects import TemporaryProject, job_spec, run_command
from tests.prepared import prepared_program

APPLICATION = """
from generated.jobs import Hello
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

engine = create_engine("{url}")
with Session(engine) as session:
    Hello.later_in(session, {{"name": "Grace"}}, unique_key="one")
    Hello.later_in(session, {{"name": "Grace"}}, unique_key="one")
    session.commit()
"""
# Runs in a handler process, and enqueues from there.
AGAIN = """
from generated.jobs import Hello
from generated.models.again import AgainParams, AgainResult
from server_jobs import JobContext


async def handle(params: AgainParams, context: JobContext) -> AgainResult:
    await Hello.later({"name": "again"})
    return AgainResult()
"""


Command = Callable[..., str]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Yield the URL of a database with an application's table `jobs`."""
    with postgres_database() as location:
        with psycopg.connect(location, autocommit=True) as connection:
            connection.execute("CREATE TABLE jobs (id int); INSERT INTO jobs VALUES (7)")
        yield location


def new_project(folder: Path, schema: str | None) -> TemporaryProject:
    """Return a project as `init` creates it, in a schema, with another job that enqueues."""
    assert run_command("init", str(folder)).exit_code == 0
    project = TemporaryProject(folder)
    if schema is not None:
        set_schema(project, schema)
    project.write_spec("again", job_spec("Again", runIn="process", schedules=[{"name": "yearly", "cron": "0 0 1 1 *"}]))
    project.generate()
    project.path("handlers/again.py").write_text(AGAIN)
    return project


def set_schema(project: TemporaryProject, schema: str) -> None:
    table = "[tool.server-jobs]\n"
    settings = project.read("pyproject.toml").replace(table, f'{table}schema = "{schema}"\n')
    project.path("pyproject.toml").write_text(settings)


@pytest.fixture(scope="module")
def command() -> Command:
    """Return a fast `server-jobs` as a process."""

    def run(project: TemporaryProject, url: str, *arguments: str, status: int = 0) -> str:
        return in_process(project, url, prepared_program(), *arguments, status=status)

    return run


def in_process(project: TemporaryProject, url: str, *command: str, status: int = 0) -> str:
    """Run a command in the folder of the project, and return its output, or its errors if it must fail."""
    done = subprocess.run(
        command,
        cwd=project.root,
        env=os.environ | {"SERVER_JOBS_DATABASE_URL": url},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stderr if status else done.stdout


@pytest.mark.slow
def test_two_projects_and_an_application_share_a_database(url: str, tmp_path: Path, command: Command) -> None:
    shop, blog = new_project(tmp_path / "shop", "shop"), new_project(tmp_path / "blog", "order")
    assert command(shop, url, "migrate").splitlines()[0] == f"migrating {url} (schema shop)"
    command(blog, url, "migrate")
    with documented_roles(url, "shop") as roles:
        command(shop, roles["jobs_enqueuer"], "enqueue", "Hello", "--params", '{"name": "Ada"}')
        command(shop, url, "enqueue", "Again", "--params", "{}")
        application = APPLICATION.format(url=url.replace("postgresql:", "postgresql+psycopg:"))
        in_process(shop, url, sys.executable, "-c", application)
        refused = command(shop, roles["jobs_enqueuer"], "worker", "--until-empty", status=3)
        assert "permission denied for table jobs; grant the privilege to this role" in refused
        command(shop, roles["jobs_worker"], "worker", "--until-empty")
        assert "the tables are at the newest revision" in command(shop, roles["jobs_worker"], "doctor")
        with psycopg.connect(url, autocommit=True) as connection:
            role = urlsplit(roles["jobs_worker"]).username or ""
            statement = "REVOKE ALL ON shop.server_jobs_version FROM {}"
            connection.execute(psycopg.sql.SQL(statement).format(psycopg.sql.Identifier(role)))
        examined = command(shop, roles["jobs_worker"], "doctor")
        assert "the revision of the tables is not checked: " in examined
        assert "permission denied for table server_jobs_version" in examined
    command(blog, url, "enqueue", "Hello", "--params", '{"name": "Alan"}')

    with psycopg.connect(url) as connection:
        done = connection.execute("SELECT params_name, status FROM shop.hello_jobs ORDER BY params_name").fetchall()
        assert done == [("Ada", "completed"), ("Grace", "completed"), ("again", "completed")]
        assert connection.execute('SELECT params_name, status FROM "order".hello_jobs').fetchall() == [
            ("Alan", "pending")
        ]
        assert connection.execute("SELECT id FROM jobs").fetchall() == [(7,)]
    for project, count in ((shop, 4), (blog, 1)):
        assert len(json.loads(command(project, url, "list", "--json"))) == count
        assert "the tables are at the newest revision" in command(project, url, "doctor")
    command(shop, url, "migrate", "--downgrade", "base")
    command(blog, url, "list")


@pytest.mark.slow
def test_tables_move_to_a_schema_with_their_jobs(tmp_path: Path, command: Command) -> None:
    project = new_project(tmp_path / "shop", None)
    with postgres_database() as url:
        assert project.run("migrate", "--database", url).exit_code == 0
        command(project, url, "enqueue", "Hello", "--params", '{"name": "Ada"}')
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE VIEW mine AS SELECT 1 AS one; CREATE TABLE customers (id int)")
            connection.execute(block(ROOT / "docs/how-to/migrations.md", "pgsql").encode())
            left = connection.execute("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace")
            assert {name for (name,) in left} == {"mine", "customers"}
        set_schema(project, "jobs")
        project.write_spec("more", job_spec("More"))  # its view needs the functions of the others
        project.generate()
        migrated = project.run("migrate", "--database", url)
        assert migrated.exit_code == 0, migrated.output
        assert "Create the tables" not in migrated.stdout
        command(project, url, "worker", "--until-empty")
        with psycopg.connect(url) as connection:
            done = connection.execute("SELECT params_name, status FROM jobs.hello_jobs").fetchall()
        assert done == [("Ada", "completed")]


def test_the_sql_for_an_empty_database_makes_the_schema(tmp_path: Path) -> None:
    project = new_project(tmp_path / "shop", "shop")
    with postgres_database() as url:
        printed = project.run("migrate", "--sql", "--database", url).stdout
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(printed.encode())
            names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'shop'").fetchall()
        assert ("jobs",) in names
        assert ("server_jobs_version",) in names
        assert "is at " in project.run("migrate", "--database", url).stdout
