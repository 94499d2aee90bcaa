"""Our tables in a database that an application migrates with Alembic: separately, or in one of three ways by it."""

from __future__ import annotations

import asyncio
import importlib
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.config import main
from server_jobs.domain.table_names import TABLES
from server_jobs.stores.sql.store import SqlStore
from server_jobs_cli.console.workspace import Workspace
from server_jobs_cli.doctor.database_checks import check_revision
from sqlalchemy import Engine, create_engine, inspect, text

from tests.generator.migrations.test_migrations import engine, structure, url
from tests.generator.projects import TemporaryProject, generated_project, job_spec, schedule

__all__ = ["engine", "url"]

INI = """\
[alembic]
script_location = %(here)s/migrations
prepend_sys_path = .
path_separator = newline
"""

MODELS = """\
from sqlalchemy import Column, Integer, MetaData, Table, Text

metadata = MetaData(naming_convention={"pk": "pk_%(table_name)s", "ck": "ck_%(table_name)s_%(constraint_name)s"})
customers = Table("customers", metadata, Column("id", Integer, primary_key=True), Column("name", Text))
"""

ENV = """\
import os
from alembic import context
from sqlalchemy import create_engine
import server_jobs.migrations.directives
import server_jobs.schema
from models import metadata

engine = create_engine(os.environ["SERVER_JOBS_DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://"))
with engine.connect() as connection:
    context.configure(connection=connection, render_as_batch=engine.dialect.name == "sqlite", {options})
    with context.begin_transaction():
        context.run_migrations()
engine.dispose()
"""
APART = "target_metadata=metadata, include_name=server_jobs.schema.exclude_ours"
BRANCH = f"{APART}, process_revision_directives=server_jobs.migrations.directives.keep_apart"
JOINED = "render_item=server_jobs.schema.render_item, include_name=server_jobs.schema.include_name"
BOTH = f"target_metadata=[metadata, server_jobs.schema.metadata], {JOINED}"
ATTACHED = f"target_metadata=metadata, {JOINED}"
LOCATIONS = "version_locations = %(here)s/migrations/versions\n    %(here)s/generated/migrations/versions\n"

# As `alembic init` writes it.
MAKO = '''\
"""${message}"""
from alembic import op
import sqlalchemy as sa
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}

def upgrade():
    ${upgrades if upgrades else "pass"}

def downgrade():
    ${downgrades if downgrades else "pass"}
'''

Alembic = Callable[..., None]

OURS = set(TABLES)


@pytest.fixture
def application(tmp_path: Path) -> Path:
    """Return an application with one table, and Alembic set up for it."""
    root = tmp_path / "application"
    (root / "migrations/versions").mkdir(parents=True)
    for path, content in {"alembic.ini": INI, "models.py": MODELS, "migrations/script.py.mako": MAKO}.items():
        (root / path).write_text(content, encoding="utf-8")
    return root


@pytest.fixture
def reference(tmp_path: Path) -> TemporaryProject:
    """Return a project with our own Alembic environment, for comparison."""
    return generated_project(tmp_path / "reference")


@pytest.fixture
def alembic(monkeypatch: pytest.MonkeyPatch) -> Alembic:
    """Runs `alembic` in a folder, with the modules of that folder. Its warnings are ignored."""

    def run(folder: Path, *arguments: str) -> None:
        with monkeypatch.context() as patch, warnings.catch_warnings(action="ignore"):
            patch.chdir(folder)
            patch.setattr(sys, "path", [*sys.path])
            sys.modules.pop("models", None)
            importlib.invalidate_caches()  # "." in `sys.path` was another folder before.
            main(argv=arguments)

    return run


def test_our_migrations_apart_from_those_of_the_application(
    application: Path, alembic: Alembic, url: str, engine: Engine
) -> None:
    project = generated_project(application, {"digest": job_spec("Digest", indexes=["/params/text"])})
    write_env(application, APART)
    assert project.run("migrate", "--database", url).exit_code == 0

    alembic(application, "revision", "--autogenerate", "-m", "own")
    alembic(application, "upgrade", "head")
    alembic(application, "check")

    assert tables(engine) == OURS | {"customers"}
    assert project.run("migrate", "--database", url).exit_code == 0
    add_column(application)
    alembic(application, "revision", "--autogenerate", "-m", "more")
    alembic(application, "upgrade", "head")
    alembic(application, "check")
    alembic(application, "downgrade", "base")
    assert tables(engine) == OURS
    assert examine(project).startswith("ok the tables are at the newest revision")


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("sees", ["", ", include_schemas=True"])
def test_an_application_may_have_a_table_jobs_if_ours_is_in_another_schema(
    application: Path, alembic: Alembic, url: str, engine: Engine, sees: str
) -> None:
    project = generated_project(application)
    settings = project.path("pyproject.toml").read_text(encoding="utf-8")
    project.path("pyproject.toml").write_text(
        settings.replace("[tool.server-jobs]", '[tool.server-jobs]\nschema = "queue"'), encoding="utf-8"
    )
    project.generate()
    assert project.run("migrate", "--database", url).exit_code == 0
    (application / "models.py").write_text(MODELS.replace('"customers"', '"jobs"'), encoding="utf-8")
    write_env(application, APART + sees)

    alembic(application, "revision", "--autogenerate", "-m", "own")
    alembic(application, "upgrade", "head")
    alembic(application, "check")

    assert tables(engine) == {"jobs"}
    assert set(inspect(engine).get_table_names("queue")) == OURS | {"server_jobs_version"}


def test_our_revisions_are_a_separate_branch_of_the_applications_alembic(
    application: Path, alembic: Alembic, engine: Engine
) -> None:
    indexes = ["/params/text"]
    project = generated_project(application, {"digest": job_spec("Digest", schedules=[schedule()], indexes=indexes)})
    (application / "alembic.ini").write_text(INI + LOCATIONS, encoding="utf-8")
    write_env(application, BRANCH)

    alembic(application, "upgrade", "heads")
    alembic(application, "revision", "--autogenerate", "-m", "own")
    alembic(application, "upgrade", "heads")
    assert tables(engine) == OURS | {"customers"}
    alembic(application, "check")
    add_column(application)
    alembic(application, "revision", "--autogenerate", "-m", "more")
    alembic(application, "upgrade", "heads")
    alembic(application, "check")
    revisions = [path.read_text(encoding="utf-8") for path in (application / "migrations/versions").glob("*.py")]
    assert sorted("jobs" in text for text in revisions) == [False, False]
    assert examine(project).startswith("ok the tables are at the newest revision")

    project.write_spec("digest", job_spec("Digest", schedules=[schedule(cron="0 4 * * *")], indexes=indexes))
    project.generate()
    assert examine(project).endswith("run `alembic upgrade heads` in the application")
    alembic(application, "upgrade", "heads")
    assert examine(project).startswith("ok the tables are at the newest revision")
    alembic(application, "downgrade", "server_jobs@base")
    assert tables(engine) == {"customers"}


def test_without_the_directives_a_branch_needs_a_head(application: Path, alembic: Alembic, engine: Engine) -> None:
    generated_project(application)
    (application / "alembic.ini").write_text(INI + LOCATIONS, encoding="utf-8")
    write_env(application, APART)
    alembic(application, "upgrade", "heads")
    own = ("--head", "base", "--version-path", "migrations/versions", "-m", "own")
    alembic(application, "revision", "--autogenerate", *own)
    alembic(application, "upgrade", "heads")
    add_column(application)
    with pytest.raises(SystemExit):
        alembic(application, "revision", "--autogenerate", "-m", "more")
    write_env(application, BRANCH)
    alembic(application, "revision", "--autogenerate", "-m", "more")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "models"),
    [
        (BOTH, MODELS),
        (ATTACHED, MODELS + "from server_jobs.schema import attach\nattach(metadata)\n"),
    ],
    ids=["a list of metadata", "attached to the metadata of the application"],
)
def test_our_tables_in_the_revisions_of_the_application(
    application: Path,
    alembic: Alembic,
    reference: TemporaryProject,
    url: str,
    engine: Engine,
    options: str,
    models: str,
) -> None:
    alembic(reference.root, "upgrade", "head")
    by_us = [row for row in structure(url) if "jobs_limits_check" not in row]  # only our revisions have it
    alembic(reference.root, "downgrade", "base")

    (application / "models.py").write_text(models, encoding="utf-8")
    write_env(application, options)
    alembic(application, "revision", "--autogenerate", "-m", "everything")
    alembic(application, "upgrade", "head")
    alembic(application, "check")
    assert tables(engine) == OURS | {"customers"}
    # On SQLite, Alembic adds parentheses to the default values of an application's revisions.
    assert str(structure(url)).replace("(true)", "true").replace("(false)", "false") == str(by_us)
    (revision,) = (application / "migrations/versions").glob("*.py")
    assert "server_jobs" not in revision.read_text(encoding="utf-8")
    add_column(application)
    alembic(application, "revision", "--autogenerate", "-m", "more")
    assert examine(reference).startswith("ok the tables were made by the application's revision")
    alembic(application, "upgrade", "head")
    alembic(application, "check")
    with engine.begin() as connection:
        connection.execute(text("DROP INDEX jobs_lease"))
    assert "and lack the index jobs_lease; add it there, for example" in examine(reference)
    with engine.begin() as connection:
        connection.execute(text("CREATE INDEX jobs_lease ON jobs (id)"))
    alembic(application, "downgrade", "base")
    assert tables(engine) == set()


def write_env(application: Path, options: str) -> None:
    (application / "migrations/env.py").write_text(ENV.format(options=options), encoding="utf-8")


def add_column(application: Path) -> None:
    """Change the model of the application."""
    models = (application / "models.py").read_text(encoding="utf-8")
    changed = models.replace('Column("name", Text))', 'Column("name", Text), Column("city", Text))')
    (application / "models.py").write_text(changed, encoding="utf-8")


def examine(project: TemporaryProject) -> str:
    """Return doctor's verdict, message and advice about the revisions in the environment's database."""

    async def look() -> str:
        workspace = Workspace(folder=project.root)
        async with workspace.open_store(only_reads=True) as store:
            assert isinstance(store, SqlStore)
            (finding,) = [finding async for finding in check_revision(workspace, store)]
        return f"{finding.verdict} {finding.message}; {finding.advice}"

    return asyncio.run(look())


def tables(engine: Engine) -> set[str]:
    fresh = create_engine(engine.url)
    names = set(inspect(fresh).get_table_names()) - {"alembic_version", "server_jobs_version"}
    fresh.dispose()
    return names
