"""The three ways in which an application with its own Alembic gets our tables."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.config import Config, main
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, inspect

from tests.generator.projects import TemporaryProject, generated_project, job_spec, schedule
from tests.generator.test_migrations import engine, structure, url

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
import server_jobs.schema
from models import metadata

engine = create_engine(os.environ["SERVER_JOBS_DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://"))
with engine.connect() as connection:
    context.configure(
        connection=connection,
        target_metadata={target},
        render_as_batch=engine.dialect.name == "sqlite",
        render_item=server_jobs.schema.render_item,
        include_name=server_jobs.schema.include_name,
    )
    with context.begin_transaction():
        context.run_migrations()
engine.dispose()
"""

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

OURS = {"jobs", "cron_jobs", "job_starts", "paused_queues"}


@pytest.fixture
def application(tmp_path: Path) -> Path:
    """An application with one table, and Alembic set up for it."""
    root = tmp_path / "application"
    (root / "migrations/versions").mkdir(parents=True)
    for path, text in {"alembic.ini": INI, "models.py": MODELS, "migrations/script.py.mako": MAKO}.items():
        (root / path).write_text(text, encoding="utf-8")
    return root


@pytest.fixture
def reference(tmp_path: Path) -> TemporaryProject:
    """What our own Alembic environment makes, to compare with."""
    return generated_project(tmp_path / "reference")


@pytest.fixture
def alembic(monkeypatch: pytest.MonkeyPatch) -> Alembic:
    """Runs `alembic` in a folder, with the modules that are there. Its warnings stop nobody."""

    def run(folder: Path, *arguments: str) -> None:
        with monkeypatch.context() as patch, warnings.catch_warnings(action="ignore"):
            patch.chdir(folder)
            patch.setattr(sys, "path", [*sys.path])
            sys.modules.pop("models", None)
            importlib.invalidate_caches()  # of "." in `sys.path`, which was another folder
            main(argv=arguments)

    return run


def test_our_revisions_as_a_branch_beside_those_of_the_application(
    application: Path, alembic: Alembic, engine: Engine
) -> None:
    indexes = ["/params/text"]
    project = generated_project(application, {"digest": job_spec("Digest", schedules=[schedule()], indexes=indexes)})
    locations = "version_locations = %(here)s/migrations/versions\n    %(here)s/generated/migrations/versions\n"
    (application / "alembic.ini").write_text(INI + locations, encoding="utf-8")
    write_env(application, "[metadata, server_jobs.schema.metadata]")

    alembic(application, "upgrade", "heads")
    own = ("--head", "base", "--version-path", "migrations/versions", "-m", "own")
    alembic(application, "revision", "--autogenerate", *own)
    alembic(application, "upgrade", "heads")
    assert tables(engine) == OURS | {"customers"}
    alembic(application, "check")

    project.write_spec("digest", job_spec("Digest", schedules=[schedule(cron="0 4 * * *")], indexes=indexes))
    project.generate()
    alembic(application, "upgrade", "heads")
    heads = ScriptDirectory.from_config(Config(application / "alembic.ini")).get_heads()
    assert "server_jobs_0004" in heads
    alembic(application, "downgrade", "server_jobs@base")
    assert tables(engine) == {"customers"}


@pytest.mark.parametrize(
    ("target", "models"),
    [
        ("[metadata, server_jobs.schema.metadata]", MODELS),
        ("metadata", MODELS + "from server_jobs.schema import attach\nattach(metadata)\n"),
    ],
    ids=["a list of metadata", "attached to the metadata of the application"],
)
def test_our_tables_in_the_revisions_of_the_application(
    application: Path,
    alembic: Alembic,
    reference: TemporaryProject,
    url: str,
    engine: Engine,
    target: str,
    models: str,
) -> None:
    alembic(reference.root, "upgrade", "head")
    by_us = structure(url)
    alembic(reference.root, "downgrade", "base")

    (application / "models.py").write_text(models, encoding="utf-8")
    write_env(application, target)
    alembic(application, "revision", "--autogenerate", "-m", "everything")
    alembic(application, "upgrade", "head")
    alembic(application, "check")
    assert tables(engine) == OURS | {"customers"}
    # On SQLite, Alembic puts brackets around the default values of an application's revisions.
    assert str(structure(url)).replace("(true)", "true").replace("(false)", "false") == str(by_us)
    (revision,) = (application / "migrations/versions").glob("*.py")
    assert "server_jobs" not in revision.read_text(encoding="utf-8")
    alembic(application, "downgrade", "base")
    assert tables(engine) == set()


def write_env(application: Path, target: str) -> None:
    (application / "migrations/env.py").write_text(ENV.format(target=target), encoding="utf-8")


def tables(engine: Engine) -> set[str]:
    fresh = create_engine(engine.url)
    names = set(inspect(fresh).get_table_names()) - {"alembic_version", "server_jobs_version"}
    fresh.dispose()
    return names
