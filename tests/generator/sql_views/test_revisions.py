"""Separate revisions create and drop views, indexes and functions, and block no other revision."""

from __future__ import annotations

import ast
import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from server_jobs import schema
from server_jobs_generator.migrations import declared_state, revisions
from server_jobs_generator.migrations.declared_state import Objects, wanted_objects
from server_jobs_generator.migrations.revisions import views_revision
from server_jobs_generator.python.names import property_name
from sqlalchemy import BigInteger, Column, Engine, MetaData, Text, inspect, text
from sqlalchemy.exc import DBAPIError

from tests.generator.migrations.test_migrations import VERSIONS, alembic, engine, run_script, url
from tests.generator.migrations.test_migrations_history import revision_names
from tests.generator.projects import TemporaryProject, make_project
from tests.generator.spec_projects import Schema, a_spec, an_object, job
from tests.slow import slow

from .test_values import hostile_names

__all__ = ["engine", "url"]

TEXT: Mapping[str, object] = {"type": "string"}
PARAMS = json.dumps({"to": "ada", "it's 100% :x": "y"})


def order(*indexes: str, **more: object) -> Schema:
    """Return a spec whose params have a property `to`, one with an awkward name, and these others."""
    params = an_object(**{"to": TEXT, "it's 100% :x": TEXT, **more})
    return a_spec(params, an_object(sum={"type": "integer"}), **{"x-job": {"indexes": list(indexes)}})


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> TemporaryProject:
    specs = {"order": order("/params/to", "/params/it's 100% :x"), "refund": order()}
    project = make_project(tmp_path_factory.mktemp("generated") / "project", specs)
    project.generate()
    return project


@pytest.fixture
def project(generated: TemporaryProject, tmp_path: Path) -> TemporaryProject:
    return TemporaryProject(shutil.copytree(generated.root, tmp_path / "project"))


def change(project: TemporaryProject, name: str, spec: Mapping[str, object], revision: str) -> str:
    """Write a spec and generate. Return the text of the one revision that this must make."""
    before = revision_names(project)
    project.write_spec(name, spec)
    project.generate()
    assert revision_names(project) == [*before, revision]
    return project.read(f"{VERSIONS}/server_jobs_{revision}.py")


def described(engine: Engine) -> list[tuple[object, ...]]:
    """Return every view, function and index of ours as the database describes it."""
    on_sqlite = "SELECT type, name, sql FROM sqlite_master WHERE type = 'view' OR name LIKE '%_idx' ORDER BY 2"
    on_postgresql = """
        SELECT 'view', viewname::text, definition FROM pg_views WHERE schemaname = 'public'
        UNION ALL SELECT 'index', indexname, indexdef FROM pg_indexes WHERE indexname LIKE '%\\_idx'
        UNION ALL SELECT 'function', proname, prosrc FROM pg_proc WHERE proname LIKE 'server\\_jobs\\_%' ORDER BY 1, 2
    """
    with engine.connect() as connection:
        query = on_sqlite if engine.dialect.name == "sqlite" else on_postgresql
        return [tuple(row) for row in connection.exec_driver_sql(query.replace("%", "%%") if "pg" in query else query)]


def store(engine: Engine) -> None:
    now = text("1700000000000" if engine.dialect.name == "sqlite" else "now()")
    with engine.begin() as connection:
        row = {"id": "one", "job_name": "Order", "params": PARAMS, "created_at": now, "updated_at": now}
        connection.execute(schema.jobs.insert().values(row))


def shown(engine: Engine, columns: str = "params_to, params_it_s_100_x") -> list[tuple[object, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(f"SELECT {columns} FROM order_jobs"))]


def test_up_down_and_up_again(project: TemporaryProject, engine: Engine) -> None:
    config = alembic(project)
    command.upgrade(config, "head")
    store(engine)
    assert shown(engine) == [("ada", "y")]
    newest = described(engine)
    change(project, "order", order("/params/to", cc=TEXT), "0003_views")
    command.upgrade(config, "head")
    assert shown(engine, "params_to, params_cc") == [("ada", None)]
    newer = described(engine)
    command.downgrade(config, "server_jobs_0002")
    assert described(engine) == newest
    command.upgrade(config, "head")
    assert described(engine) == newer
    command.downgrade(config, "server_jobs_0001")
    assert described(engine) == []


def test_alembic_sees_no_difference(project: TemporaryProject, engine: Engine) -> None:
    command.upgrade(alembic(project), "head")
    command.check(alembic(project))


def test_flat_sql_makes_the_same_views(project: TemporaryProject, url: str, engine: Engine) -> None:
    command.upgrade(alembic(project), "head")
    by_alembic = described(engine)
    command.downgrade(alembic(project), "base")
    for path in sorted(project.path(f"generated/migrations/sql/{engine.dialect.name}").iterdir()):
        run_script(url, path.read_text(encoding="utf-8"))
    assert described(engine) == by_alembic
    store(engine)
    assert shown(engine) == [("ada", "y")]


def test_a_worker_gets_the_views_of_sqlite(project: TemporaryProject) -> None:
    with closing(sqlite3.connect(":memory:")) as d1:
        for path in sorted(project.path("generated/worker/migrations").iterdir()):
            d1.executescript(path.read_text(encoding="utf-8"))
        assert d1.execute("SELECT params_to, result_sum FROM order_jobs").fetchall() == []


@pytest.mark.parametrize(
    "change",
    [
        {"description": "Other words."},
        {"x-job": {"queue": "other", "indexes": ["/params/to", "/params/it's 100% :x"]}},
    ],
)
def test_changes_that_no_view_shows_make_no_revision(project: TemporaryProject, change: dict[str, object]) -> None:
    before = revision_names(project)
    project.write_spec("order", order("/params/to", "/params/it's 100% :x") | change)
    project.generate()
    assert revision_names(project) == before
    project.path(".server-jobs-cache/clean").unlink(missing_ok=True)
    assert project.generate().output == "nothing changed\n"


def test_a_run_without_a_new_revision_loads_no_library_of_databases(project: TemporaryProject) -> None:
    project.write_spec("refund", order() | {"description": "Other words."})
    code = """
import sys
from server_jobs_cli.generator.generate import generate
generate(["--project", sys.argv[1]], standalone_mode=False)
print(sorted({"sqlalchemy", "alembic"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code, str(project.root)], capture_output=True, text=True, check=True)
    assert "updated generated/jobs/refund.py" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("spec", "statements"),
    [
        (order("/params/to", "/params/it's 100% :x", cc=TEXT), {"VIEW"}),
        (order("/params/to"), {"VIEW", "INDEX"}),
        (order("/params/to", "/params/it's 100% :x", "/result/sum"), {"VIEW", "INDEX"}),
    ],
    ids=["a property more", "an index less", "an index more"],
)
def test_a_revision_touches_only_changed_objects(project: TemporaryProject, spec: Schema, statements: set[str]) -> None:
    revision = change(project, "order", spec, "0003_views").partition("UPGRADE_SQLITE = ")[2]
    assert "refund" not in revision
    assert "FUNCTION" not in revision
    assert {
        word for word in ("VIEW", "INDEX") if f"CREATE {word}" in revision or f"DROP {word}" in revision
    } == statements
    assert "order_jobs_params_to_idx" not in revision


def test_the_view_of_a_deleted_job_is_dropped(project: TemporaryProject, engine: Engine) -> None:
    command.upgrade(alembic(project), "head")
    project.path("specs/refund.json").unlink()
    project.generate("--relock", "Refund")
    assert revision_names(project)[2:] == ["0003_views"]
    command.upgrade(alembic(project), "head")
    assert "refund_jobs" not in {row[1] for row in described(engine)}


def test_a_job_can_do_without_a_view_and_its_rows_have_limits(project: TemporaryProject, engine: Engine) -> None:
    for name in ("order", "refund"):
        project.write_spec(name, order() | {"x-job": {"view": False}})
    project.generate()
    command.upgrade(alembic(project), "head")
    assert described(engine) == []
    limits = inspect(engine).get_check_constraints("jobs")
    is_limited = "jobs_limits_check" in {one["name"] for one in limits}
    assert is_limited == (engine.dialect.name == "postgresql")


@pytest.mark.parametrize(
    ("url", "kind", "rest"),
    [
        ("sqlite", "VIEW", "AS SELECT 1 AS id"),
        ("postgresql", "TABLE", "(id text, job_name text)"),
        slow("postgresql", "VIEW", "AS SELECT 1 AS id"),
    ],
    indirect=["url"],
)
def test_an_object_with_the_name_of_a_view_stays_and_every_revision_runs(
    project: TemporaryProject, engine: Engine, kind: str, rest: str
) -> None:
    config = alembic(project)
    with engine.begin() as connection:
        connection.execute(text(f"CREATE {kind} order_jobs {rest}"))
        before = connection.execute(text("SELECT * FROM order_jobs")).all()

    with pytest.warns(UserWarning, match="order_jobs is there already and no view of server-jobs"):
        command.upgrade(config, "head")
    assert {"refund_jobs"} <= {row[1] for row in described(engine)}
    change(project, "order", order() | {"x-job": {"view": False}}, "0003_views")
    command.upgrade(config, "head")
    with pytest.warns(UserWarning, match="order_jobs is there already"):
        command.downgrade(config, "base")
    with engine.begin() as connection:
        assert connection.execute(text("SELECT * FROM order_jobs")).all() == before
        connection.execute(text(f"DROP {kind} order_jobs"))


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("name", ["Jobs of 2026", "public"])
def test_the_jobs_may_be_in_a_schema_of_any_name(project: TemporaryProject, engine: Engine, name: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{name}"'))
        connection.execute(text("CREATE SCHEMA another"))
        connection.execute(text("CREATE VIEW another.order_jobs AS SELECT 1 AS id"))
        connection.execute(text(f"""ALTER DATABASE "{engine.url.database}" SET search_path TO '{name}', 'another'"""))
    command.upgrade(alembic(project), "head")
    command.downgrade(alembic(project), "server_jobs_0001")
    command.upgrade(alembic(project), "head")
    with engine.connect() as connection:
        views = connection.execute(text("SELECT schemaname, viewname FROM pg_views WHERE viewname LIKE '%_jobs'")).all()
    assert sorted(map(tuple, views)) == sorted([("another", "order_jobs"), (name, "order_jobs"), (name, "refund_jobs")])


def test_a_view_that_was_ours_is_dropped_when_the_spec_does_without(project: TemporaryProject, engine: Engine) -> None:
    command.upgrade(alembic(project), "head")
    change(project, "order", order() | {"x-job": {"view": False}}, "0003_views")
    command.upgrade(alembic(project), "head")
    assert {"order_jobs"}.isdisjoint(row[1] for row in described(engine))
    command.downgrade(alembic(project), "server_jobs_0002")
    assert {"order_jobs"} <= {row[1] for row in described(engine)}


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_a_changed_function_recreates_every_object_that_uses_it(
    project: TemporaryProject, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    command.upgrade(alembic(project), "head")
    store(engine)
    monkeypatch.setattr(declared_state, "_POSTGRESQL_UUID", "'^never$'")
    project.path(".server-jobs-cache/clean").unlink()
    project.generate()
    revision = project.read(f"{VERSIONS}/server_jobs_0003_views.py")
    assert "DROP VIEW IF EXISTS refund_jobs" in revision
    assert "UPGRADE_SQLITE: list[str] = []" in revision
    command.upgrade(alembic(project), "head")
    assert any("^never$" in str(row[2]) for row in described(engine))
    assert shown(engine) == [("ada", "y")]
    command.downgrade(alembic(project), "server_jobs_0002")
    assert not any("^never$" in str(row[2]) for row in described(engine))


def newer_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulate a release in which a column of jobs that views show has another type, and there is one more column."""
    newer = MetaData()
    for table in schema.metadata.sorted_tables:
        table.to_metadata(newer)
    jobs = newer.tables["jobs"]
    jobs.append_column(Column("trace", Text))
    jobs.c.priority.type = BigInteger()
    monkeypatch.setattr(revisions, "metadata", newer)
    monkeypatch.setattr("server_jobs_generator.migrations.migration_files.schema_fingerprint", lambda *_state: "newer")


def test_the_table_of_jobs_may_change_below_the_views(
    project: TemporaryProject, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    command.upgrade(alembic(project), "head")
    before = described(engine)
    newer_tables(monkeypatch)
    project.path(".server-jobs-cache/clean").unlink()
    project.generate()
    assert revision_names(project)[2:] == ["0003_views", "0004_tables", "0005_views"]
    command.upgrade(alembic(project), "head")
    assert described(engine) == before
    with engine.connect() as connection:
        connection.execute(text("SELECT trace FROM jobs"))
    store(engine)
    assert shown(engine) == [("ada", "y")]
    command.downgrade(alembic(project), "server_jobs_0002")
    assert described(engine) == before
    assert shown(engine) == [("ada", "y")]


@pytest.mark.usefixtures("engine")
def test_with_the_views_in_place_the_table_could_not_change(
    project: TemporaryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This is why revisions around the tables' revision drop and create views."""
    command.upgrade(alembic(project), "head")
    newer_tables(monkeypatch)
    project.path(".server-jobs-cache/clean").unlink()
    monkeypatch.setattr(revisions, "_rebuilds_jobs", lambda _script: False)
    project.generate()
    in_the_way = "error in view order_jobs: no such table: main.jobs|cannot alter type of a column used by a view"
    with pytest.raises(DBAPIError, match=in_the_way):
        command.upgrade(alembic(project), "head")


@given(st.lists(hostile_names, min_size=1, max_size=4, unique_by=lambda name: str(property_name(name)).casefold()))
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_name_of_a_property_becomes_code_of_a_revision(tmp_path: Path, names: list[str]) -> None:
    plain, hostile = (job(tmp_path, a_spec(an_object(**dict.fromkeys(each, TEXT)))) for each in (["to"], names))
    nothing: Objects = {"sqlite": (), "postgresql": ()}
    wanted = wanted_objects([hostile])
    modules = [
        ast.parse(made.text.replace(made.id, "an id"))
        for objects in (wanted_objects([plain]), wanted)
        if (made := views_revision((), "Make the views", nothing, objects, {}))
    ]
    code = [[ast.dump(node) for node in module.body if not isinstance(node, ast.Assign)] for module in modules]
    assert code[0] == code[1]
    lists = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in modules[1].body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        if node.targets[0].id.startswith("UPGRADE_")
    }
    for dialect, objects in wanted.items():
        statements = lists[f"UPGRADE_{dialect.upper()}"]
        assert [one for one in statements if " IF EXISTS " not in one] == [one.replacement for one in objects]
    for statement in (*lists["UPGRADE_SQLITE"], *lists["UPGRADE_POSTGRESQL"]):
        assert str(text(statement.replace(":", r"\:")).compile()) == statement
