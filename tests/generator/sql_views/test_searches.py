"""A search for jobs by a value takes them from the index of a column, and finds the same jobs as without it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import psycopg
import pytest
from server_jobs.databases.postgres.database import PostgresDatabase
from server_jobs.databases.sqlite.database import SqliteDatabase
from server_jobs.domain.interfaces import Database, Row, Statement, Value
from server_jobs.domain.record import JobFilter, NewJob
from server_jobs.domain.search import FindStep, IndexedColumn, condition_in
from server_jobs.stores.sql import pages
from server_jobs.stores.sql.dialect import DialectName, statements_of
from server_jobs.stores.sql.parameters import filled
from server_jobs.stores.sql.store import SqlStore
from server_jobs_generator.ir.spec import JobSpec
from server_jobs_generator.migrations.declared_state import wanted_objects
from server_jobs_generator.migrations.sql_objects import changes
from server_jobs_generator.render.job_class import attributes
from sqlalchemy import Engine, text

from tests.generator.spec_projects import a_spec, an_object, job
from tests.generator.sql_views.view_databases import view_engine

TO = IndexedColumn("/params/to", "case_jobs", "params_to")
COUNT = IndexedColumn("/params/count", "case_jobs", "params_count", is_integer=True)
BOUNDED = {"type": "integer", "minimum": -(2**60), "maximum": 2**60}
DOCUMENTS: tuple[dict[str, object], ...] = (
    {"to": "ann", "count": 42},
    {"to": "ann", "count": "42"},
    {"to": ["ann", "bob"], "count": [1, 42]},
    {"to": 42, "count": 42.0},
    {"to": "42", "count": 43},
    {"to": True, "count": 2**60},
    {"to": "true", "count": 2**53 + 1},
    {"to": "a\0b"},
    {"to": "x" * 3000, "count": 4.5},
    {"to": None, "count": None},
    {},
    {"to": {"ann": 1}},
)
# SQLite rounds these numbers, which are written as reals.
ROUNDED = ('{"count": 4.99999999999999999999}', '{"count": 9007199254740993.0}')
CONDITIONS = (
    *("params.to=ann", "params.to=42", 'params.to="42"', "params.to=true", "params.to=a\0b", f"params.to={'x' * 3000}"),
    *("params.to=", "params.count=42", "params.count=4.2e1", 'params.count="42"', "params.count=4.5"),
    *("params.count=4.99999999999999999999", "params.count=5", "params.count=9007199254740993"),
    *(f"params.count={2**60}", f"params.count={2**53 + 1}", "params.count=x", "params.count=-0"),
)


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> JobSpec:
    folder = tmp_path_factory.mktemp("spec")
    properties = an_object(to={"type": "string"}, count=BOUNDED, at={"type": "string", "format": "date"})
    indexes = {"x-job": {"indexes": ["/params/to", "/params/count", "/params/at"]}}
    return job(folder, a_spec(properties, an_object(), **indexes))


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path, spec: JobSpec) -> Iterator[Engine]:
    with view_engine(request.param, tmp_path) as engine:
        with engine.begin() as connection:
            for statement in changes((), wanted_objects([spec])[engine.dialect.name]):
                connection.execute(text(statement.replace(":", r"\:")))
        yield engine


def database_of(engine: Engine) -> Database:
    if engine.dialect.name == "sqlite":
        return SqliteDatabase(Path(str(engine.url.database)))
    return PostgresDatabase(url_of(engine))


def url_of(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=False).replace("+psycopg", "")


async def found(store: SqlStore, condition: str, column: IndexedColumn | None) -> list[str]:
    """Return the ids that a search finds, in steps of two jobs."""
    wanted = JobFilter(where=(replace(condition_in(condition), column=column),))
    ids: list[str] = []
    after: str | None = ""
    while after is not None:
        step = await store.find(FindStep(filter=wanted, after=after, limit=2))
        ids += [one.id for one in step.jobs]
        after = step.after
    return ids


def test_the_job_class_has_the_columns_whose_values_are_as_in_the_document(spec: JobSpec) -> None:
    shown = "".join("\n".join(attributes(spec)).split())

    assert 'IndexedColumn(pointer="/params/to",view="case_jobs",name="params_to")' in shown
    assert 'IndexedColumn(pointer="/params/count",view="case_jobs",name="params_count",is_integer=True)' in shown
    assert "params_at" not in shown


async def test_a_search_finds_the_same_jobs_with_the_index_and_without(engine: Engine, spec: JobSpec) -> None:
    store = SqlStore(database_of(engine))
    await store.open()
    documents = (*map(json.dumps, DOCUMENTS), *ROUNDED)
    jobs = [NewJob(f"job-{number:02}", text) for number, text in enumerate(documents)]
    await store.insert([one._replace(job_name=spec.class_name) for one in jobs])
    measured: list[str] = []
    run = pages.Searches._run

    async def noted(searches: pages.Searches, statement: Statement, **parameters: Value) -> Sequence[Row]:
        measured.extend([statement.sql] if "most_bytes" in statement.parameters else [])
        return await run(searches, statement, **parameters)

    for condition in CONDITIONS:
        column = TO if condition.startswith("params.to") else COUNT
        with patch.object(pages.Searches, "_run", noted):
            with_index = await found(store, condition, column)
        assert with_index == await found(store, condition, None), condition
    assert sum("case_jobs" in one for one in measured) > len(measured) / 2
    await store.close()


async def test_with_too_many_candidates_or_without_the_view_all_jobs_are_scanned(engine: Engine, spec: JobSpec) -> None:
    store = SqlStore(database_of(engine))
    await store.open()
    await store.insert([NewJob(f"{number}", '{"to": "ann"}', job_name=spec.class_name) for number in range(5)])

    noted = patch.object(pages, "filled", wraps=filled)
    with patch.object(pages, "MOST_CANDIDATES", 4), noted as of_a_view:
        assert await found(store, "params.to=ann", TO) == list("01234")
        assert of_a_view.called
    assert await found(store, "params.to=ann", replace(TO, view="missing_jobs")) == list("01234")
    await store.close()


def count_of(dialect: DialectName, column: IndexedColumn) -> str:
    return filled(statements_of(dialect).COUNT_CANDIDATES, view=column.view, column=column.name).sql


@pytest.mark.parametrize("column", [TO, COUNT], ids=["text", "integer"])
@pytest.mark.parametrize("statistics", ["of an empty table", "of this table", "of a table full of the value"])
def test_the_search_reads_the_index_for_any_statistics(
    engine: Engine, spec: JobSpec, column: IndexedColumn, statistics: str
) -> None:
    """Also in a generic plan, which the server makes after five calls."""
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:
            query = f"EXPLAIN QUERY PLAN {count_of('sqlite', column)}"
            plan = [str(row[3]) for row in connection.execute(text(query), {"value": 1, "most": 1})]
        assert sum(f"case_jobs_{column.name}_idx" in line for line in plan) == 2, plan
        return
    fill = (
        "INSERT INTO jobs (id, job_name, params, created_at, updated_at) SELECT gen_random_uuid(), '%s',"
        " '{\"to\":\"' || %s || '\",\"count\":' || %s || '}', now(), now() FROM generate_series(1, 20000) AS i"
    )
    with psycopg.connect(url_of(engine), autocommit=True) as connection:
        connection.execute("ALTER TABLE jobs SET (autovacuum_enabled = false)")
        if statistics == "of a table full of the value":
            connection.execute((fill % (spec.class_name, 7, 7)).encode())
        if statistics != "of this table":
            connection.execute("ANALYZE jobs")
            connection.execute("DELETE FROM jobs")
        connection.execute((fill % (spec.class_name, "i", "i")).encode())
        connection.execute((fill % ("Other", "i", "i")).encode())
        if statistics == "of this table":
            connection.execute("ANALYZE jobs")
        connection.execute("SET enable_seqscan = off")
        connection.execute("SET plan_cache_mode = force_generic_plan")
        query = count_of("postgresql", column).replace(":value", "$1").replace(":most", "$2")
        connection.execute(f"PREPARE search AS {query}".encode())
        plan = [str(row[0]) for row in connection.execute("EXPLAIN (ANALYZE, TIMING OFF) EXECUTE search ('7', 10001)")]
    assert sum(f"case_jobs_{column.name}_idx" in line for line in plan) == 2, plan
