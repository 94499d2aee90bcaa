"""Changes of the tables or the schedules append revisions; existing revisions never change."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from server_jobs import schema
from server_jobs_generator.migrations import revisions
from sqlalchemy import BigInteger, Column, Engine, Index, MetaData, Table, Text, text

from tests.generator.migrations.test_migrations import VERSIONS, alembic, engine, schedules, url
from tests.generator.projects import TemporaryProject, generated_project, job_spec, schedule, without_digests

__all__ = ["engine", "url"]

FIRST = f"{VERSIONS}/server_jobs_0001_tables.py"
SECOND = f"{VERSIONS}/server_jobs_0002_schedules.py"
THIRD = f"{VERSIONS}/server_jobs_0003_views.py"
FOURTH = f"{VERSIONS}/server_jobs_0004_schedules.py"

SQL = [
    f"generated/{folder}/0002_schedules.sql"
    for folder in ("migrations/sql/sqlite", "migrations/sql/postgresql", "worker/migrations")
]


@pytest.fixture
def project(tmp_path: Path) -> TemporaryProject:
    return generated_project(tmp_path / "project", {"digest": digest(schedule("morning"), schedule("evening"))})


def digest(*declared: dict[str, object]) -> dict[str, object]:
    return job_spec("Digest", schedules=declared)


def revision_names(project: TemporaryProject) -> list[str]:
    return sorted(
        without_digests(path.stem.removeprefix("server_jobs_")) for path in project.path(VERSIONS).glob("*.py")
    )


def test_the_first_run_makes_the_tables_then_the_schedules_then_the_views(project: TemporaryProject) -> None:
    assert revision_names(project) == ["0001_tables", "0002_schedules", "0003_views"]


def test_without_schedules_there_is_no_revision_of_them(tmp_path: Path) -> None:
    project = generated_project(tmp_path / "project")
    assert revision_names(project) == ["0001_tables", "0002_views"]


def test_a_change_that_touches_no_schedule_makes_no_revision_of_them(project: TemporaryProject) -> None:
    project.write_spec("digest", {**digest(schedule("morning"), schedule("evening")), "description": "Other words."})
    project.write_spec("another", job_spec("Another", queue="q"))
    project.generate()
    assert revision_names(project) == ["0001_tables", "0002_schedules", "0003_views", "0004_views"]


@pytest.mark.parametrize(
    ("url", "declared", "expected"),
    [
        (
            "sqlite",
            [schedule("morning"), schedule("evening", "0 20 * * *")],
            [("evening", "0 20 * * *"), ("morning", "0 3 * * *")],
        ),
        ("postgresql", [schedule("morning")], [("morning", "0 3 * * *")]),
        ("sqlite", [], []),
        (
            "postgresql",
            [schedule("noon", "0 12 * * *"), schedule("morning")],
            [("morning", "0 3 * * *"), ("noon", "0 12 * * *")],
        ),
    ],
    ids=["changed", "removed", "all removed", "replaced"],
    indirect=["url"],
)
def test_changed_schedules_make_exactly_one_revision(
    project: TemporaryProject, engine: Engine, declared: Sequence[dict[str, object]], expected: list[tuple[str, str]]
) -> None:
    old = {
        path: project.read(path)
        for path in project.files()
        if path.endswith((".sql", "_tables.py", "_schedules.py", "_views.py"))
    }
    config = alembic(project)
    command.upgrade(config, "head")
    before = schedules(engine)
    project.write_spec("digest", digest(*declared))
    result = project.generate()
    assert revision_names(project) == ["0001_tables", "0002_schedules", "0003_views", "0004_schedules"]
    assert {path: project.read(path) for path in old} == old
    assert f"  created {FOURTH}" in without_digests(result.output)
    assert project.generate().output == "nothing changed\n"
    command.upgrade(config, "head")
    assert [row[1:3] for row in schedules(engine)] == expected
    command.downgrade(config, "-1")
    assert schedules(engine) == before


def test_a_changed_schedule_is_planned_again_and_stays_disabled(project: TemporaryProject, engine: Engine) -> None:
    config = alembic(project)
    command.upgrade(config, "head")
    with engine.begin() as connection:
        connection.execute(text("UPDATE cron_jobs SET enabled = false, next_run_at = created_at, last_job_id = 'x'"))
    project.write_spec("digest", digest(schedule("morning"), schedule("evening", params={"text": "new"})))
    project.generate()
    command.upgrade(config, "head")
    query = "SELECT name, next_run_at IS NULL, enabled, last_job_id, params FROM cron_jobs ORDER BY 1"
    with engine.connect() as connection:
        rows = [
            (name, bool(new), bool(on), job, params) for name, new, on, job, params in connection.execute(text(query))
        ]
    assert rows == [("evening", True, False, "x", '{"text":"new"}'), ("morning", False, False, "x", "{}")]


def test_revisions_add_and_remove_the_limit_of_a_schedule(project: TemporaryProject, engine: Engine) -> None:
    config = alembic(project)
    limited = schedule("evening", misfire="fire_all", misfireLimit=24)
    for declared in (limited, schedule("evening", misfire="fire_all"), limited | {"name": "night"}):
        project.write_spec("digest", digest(declared))
        project.generate()
    limits: list[list[tuple[object, ...]]] = []
    for revision in ("0004", "0005", "0006"):
        command.upgrade(config, f"server_jobs_{revision}")
        limits.append([(name, misfire, limit) for _, name, _, _, misfire, _, _, limit in schedules(engine)])
    assert limits == [
        [("evening", "fire_all", 24)],
        [("evening", "fire_all", None)],
        [("night", "fire_all", 24)],
    ]
    command.downgrade(config, "server_jobs_0004")
    assert [row[7] for row in schedules(engine)] == [24]


def test_schedules_that_were_stored_before_they_could_have_a_limit_are_as_they_were(
    project: TemporaryProject, engine: Engine
) -> None:
    older = project.read(FIRST).replace('        sa.Column("misfire_limit", sa.Integer(), nullable=True),\n', "")
    assert older != project.read(FIRST)
    project.path(FIRST).write_text(older, encoding="utf-8")
    second = project.read(SECOND).replace('    sa.column("misfire_limit", sa.Integer),\n', "")
    second = second.replace("        misfire_limit=None,\n", "")
    project.path(SECOND).write_text(second, encoding="utf-8")
    project.generate("--force")
    assert revision_names(project) == ["0001_tables", "0002_schedules", "0003_views", "0004_tables"]
    project.write_spec("digest", digest(schedule("evening", misfire="fire_all", misfireLimit=24)))
    project.generate()
    assert revision_names(project)[4:] == ["0005_schedules"]
    command.upgrade(alembic(project), "head")
    assert [row[7] for row in schedules(engine)] == [24]


def test_a_renamed_job_takes_its_schedules_along(project: TemporaryProject, engine: Engine) -> None:
    project.write_spec("digest", job_spec("Summary", schedules=[schedule("morning"), schedule("evening")]))
    project.generate("--relock", "Digest")
    command.upgrade(alembic(project), "head")
    assert [row[:2] for row in schedules(engine)] == [("Summary", "evening"), ("Summary", "morning")]


def test_going_back_to_old_schedules_is_a_new_revision(project: TemporaryProject) -> None:
    project.write_spec("digest", digest())
    project.generate()
    project.write_spec("digest", digest(schedule("morning"), schedule("evening")))
    project.generate()
    assert revision_names(project)[3:] == ["0004_schedules", "0005_schedules"]


def test_a_changed_table_makes_one_revision_between_those_of_the_views(
    project: TemporaryProject, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = MetaData()
    for table in schema.metadata.sorted_tables:
        table.to_metadata(newer)
    newer.tables["jobs"].append_column(Column("trace", Text, nullable=False, server_default=text("'none'")))
    newer.tables["jobs"].c.spec_version.type = BigInteger()
    Index("jobs_trace", newer.tables["jobs"].c.trace)
    config = alembic(project)
    command.upgrade(config, "head")
    before = schedules(engine)

    monkeypatch.setattr(revisions, "metadata", newer)
    monkeypatch.setattr("server_jobs_generator.migrations.migration_files.schema_fingerprint", lambda *_state: "newer")
    project.write_spec("digest", digest(schedule("morning"), schedule("evening"), schedule("noon")))
    project.generate()
    assert revision_names(project)[3:] == ["0004_views", "0005_tables", "0006_schedules", "0007_views"]
    assert 'op.batch_alter_table("jobs"' in project.read(f"{VERSIONS}/server_jobs_0005_tables.py")

    command.upgrade(config, "server_jobs_0005")
    assert schedules(engine) == before
    with engine.connect() as connection:
        connection.execute(text("SELECT trace FROM jobs"))
    command.downgrade(config, "server_jobs_0003")
    assert schedules(engine) == before
    assert "ALTER TABLE jobs ADD COLUMN trace" in project.read("generated/migrations/sql/postgresql/0005_tables.sql")
    assert "_alembic_tmp_jobs" in project.read("generated/migrations/sql/sqlite/0005_tables.sql")
    with closing(sqlite3.connect(":memory:")) as d1:
        for number in ("0001_tables", "0002_schedules", "0003_views", "0004_views", "0005_tables"):
            d1.executescript(project.read(f"generated/worker/migrations/{number}.sql"))
        with pytest.raises(sqlite3.OperationalError, match="no such column: rowid"):
            d1.execute("SELECT rowid FROM jobs")


def test_an_edited_revision_is_refused_and_force_accepts_it(project: TemporaryProject) -> None:
    text = project.edit(SECOND)
    project.write_spec("digest", digest())
    result = project.run("generate")
    assert result.exit_code == 1
    assert SECOND in without_digests(result.output)
    project.generate("--force")
    assert project.read(SECOND) == text
    assert project.run("check").exit_code == 0
    assert revision_names(project)[3:] == ["0004_schedules"]


def test_the_sql_of_an_edited_revision_follows_it(project: TemporaryProject) -> None:
    text = project.read(SECOND).replace("morning", "at dawn")
    project.path(SECOND).write_text(text, encoding="utf-8")
    project.write_spec("digest", digest(schedule("at-dawn"), schedule("evening")))
    result = project.generate("--force")
    output = without_digests(result.output)
    assert f"kept your change to {SECOND}\n" in output
    assert f"overwrote {SECOND}" not in output
    assert project.read(SECOND) == text
    for path in SQL:
        assert f"updated {path}\n" in output
        assert "at dawn" in project.read(path)
        assert "morning" not in project.read(path)
    assert project.run("check").exit_code == 0


@pytest.mark.parametrize("path", SQL)
def test_edited_sql_is_refused_and_force_takes_it_back_from_the_revision(project: TemporaryProject, path: str) -> None:
    before = project.files()
    project.path(path).write_text("DROP TABLE cron_jobs;\n", encoding="utf-8")
    assert project.run("generate").exit_code == 1
    assert without_digests(project.generate("--force").output) == f"overwrote {path}\n"
    assert project.files() == before


def test_the_newest_revision_may_be_deleted_and_generated_again(project: TemporaryProject) -> None:
    project.write_spec("digest", digest(schedule("noon")))
    project.generate()
    before = project.files()
    for path in (FOURTH, "generated/migrations/sql/sqlite/0004_schedules.sql"):
        project.path(path).unlink()
    project.generate()
    assert project.files() == before
    project.path(FOURTH).unlink()
    project.write_spec("digest", digest(schedule("midnight", "0 0 * * *")))
    project.generate()
    for dialect in ("sqlite", "postgresql"):
        assert "midnight" in project.read(f"generated/migrations/sql/{dialect}/0004_schedules.sql")
    project.path(FOURTH).unlink()
    project.write_spec("digest", digest(schedule("morning"), schedule("evening")))
    project.generate()
    assert not project.path("generated/worker/migrations/0004_schedules.sql").exists()


def test_a_gap_in_the_revisions_is_named(project: TemporaryProject) -> None:
    project.path(FIRST).unlink()
    result = project.run("generate")
    assert result.exit_code == 3
    assert "which follows server_jobs_0001, but no revision of that id" in without_digests(result.output)


def test_a_revision_before_the_first_is_named(project: TemporaryProject) -> None:
    project.path(f"{VERSIONS}/server_jobs_0000_00000000_early.py").touch()
    result = project.run("generate")
    assert result.exit_code == 3
    assert "the revision server_jobs_0000_00000000_early.py has no down_revision" in result.output


def test_two_revisions_of_one_id_are_named(project: TemporaryProject) -> None:
    other = project.path(SECOND).name.replace("schedules", "other")
    project.path(f"{VERSIONS}/{other}").write_text(project.read(SECOND), encoding="utf-8")
    result = project.run("generate")
    assert result.exit_code == 3
    assert other in result.output
    assert project.path(SECOND).name in result.output


def test_a_revision_that_cannot_be_run_is_named(project: TemporaryProject) -> None:
    broken = project.read(SECOND).replace(
        "def upgrade() -> None:\n", "def upgrade() -> None:\n    raise ValueError('boom')\n"
    )
    project.path(SECOND).write_text(broken, encoding="utf-8")
    result = project.run("generate")
    assert result.exit_code == 3
    assert "server_jobs_0002_schedules.py cannot be run: boom" in without_digests(result.output)


def test_revisions_of_a_person_in_the_same_folder_are_left_alone(project: TemporaryProject) -> None:
    mine = project.path(f"{VERSIONS}/2026_my_own.py")
    mine.write_text("raise RuntimeError\n", encoding="utf-8")
    project.write_spec("digest", digest())
    project.generate()
    assert mine.read_text(encoding="utf-8") == "raise RuntimeError\n"


def test_a_table_of_another_metadata_does_not_matter(project: TemporaryProject) -> None:
    Table("somewhere_else", MetaData(), Column("id", Text))
    assert project.generate().output == "nothing changed\n"
