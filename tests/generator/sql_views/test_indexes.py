"""An index on a column of a view: queries of the view use it, and it rejects no row."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from server_jobs_generator.ir.spec import JobSpec
from server_jobs_generator.migrations.declared_state import view_columns
from sqlalchemy import text

from tests.generator.spec_projects import Schema, a_spec, an_object, job, problems

from .view_databases import ViewDatabase

PROPERTIES: dict[str, object] = {
    "customerId": {"type": "string"},
    "ownerId": {"type": "string", "format": "uuid"},
    "bornOn": {"type": "string", "format": "date"},
    "startsAt": {"type": "string", "format": "date-time"},
    "count": {"type": "integer", "minimum": 0, "maximum": 1000},
    "huge": {"type": "integer"},
    "ratio": {"type": "number"},
    "isOpen": {"type": "boolean"},
    "it's 100% größer:x": {"type": "string"},
    "nested": an_object(a={"type": "string"}),
    "tags": {"type": "array", "items": {"type": "string"}},
    "either": {"type": ["string", "integer"]},
    'say "x"': {"type": "string"},
}
SINGLE = [name for name in PROPERTIES if name not in ("nested", "tags", "either", 'say "x"')]
UUID = "0190c5a4-7b7e-7cc3-a1f0-0123456789ab"
VALUES = {
    "customerId": "'a'",
    "ownerId": f"'{UUID}'",
    "bornOn": "'2024-02-29'",
    "startsAt": "'2024-02-29T12:00:00.000Z'",
    "count": "7",
    "huge": "7",
    "ratio": "0.5",
    "isOpen": "true",
    "it's 100% größer:x": "'a'",
}


def indexed(folder: Path, *indexes: str, redact: tuple[str, ...] = ()) -> Schema:
    options = {"indexes": list(indexes), **({"redact": list(redact)} if redact else {})}
    return a_spec(an_object(**PROPERTIES), an_object(**PROPERTIES), **{"x-job": options})


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> JobSpec:
    folder = tmp_path_factory.mktemp("spec")
    return job(folder, indexed(folder, *(f"/{part}/{name}" for part in ("params", "result") for name in SINGLE)))


@pytest.mark.parametrize("part", ["params", "result"])
def test_a_query_of_the_view_uses_the_index(database: ViewDatabase, spec: JobSpec, part: str) -> None:
    database.make_views(spec)
    names = {column.json_name: column.name for column in view_columns(spec) if column.part == part}
    for json_name in SINGLE:
        column = f'"{names[json_name]}"'
        plan = database.plan(f"SELECT id, status FROM case_jobs WHERE {column} = {VALUES[json_name]}")
        assert f"case_jobs_{names[json_name]}_idx" in plan, plan
        if json_name not in ("isOpen", "ownerId"):
            plan = database.plan(f"SELECT id FROM case_jobs WHERE {column} > {VALUES[json_name]}")
            assert f"case_jobs_{names[json_name]}_idx" in plan, plan
            assert "SEARCH" in plan or "Index Cond" in plan, plan


def test_without_the_option_there_is_no_index(database: ViewDatabase, tmp_path: Path) -> None:
    bare = job(tmp_path, indexed(tmp_path))
    database.make_views(bare)
    assert "idx" not in database.plan("SELECT id FROM case_jobs WHERE params_customer_id = 'a'")


def test_a_changed_view_without_its_index_shows_that_the_plans_are_looked_at(
    database: ViewDatabase, spec: JobSpec
) -> None:
    database.make_views(spec)
    database.run(["DROP INDEX case_jobs_params_customer_id_idx"])
    plan = database.plan("SELECT id FROM case_jobs WHERE params_customer_id = 'a'")
    assert "SEARCH" not in plan
    assert "Index Cond" not in plan


@pytest.mark.parametrize(
    "document",
    [
        "nonsense",
        "[]",
        json.dumps(dict.fromkeys(PROPERTIES, "x" * (1_000_000 // len(PROPERTIES)))),
        json.dumps(dict.fromkeys(PROPERTIES, "now")),
        json.dumps(dict.fromkeys(PROPERTIES, "2024-99-99T99:99:99Z")),
        json.dumps(dict.fromkeys(PROPERTIES, 10**3999)),
        json.dumps(dict.fromkeys(PROPERTIES, 1)).replace("1", "1" + "0" * 9000),
        json.dumps(dict.fromkeys(PROPERTIES, 1e-320)),
        json.dumps({name: [1] for name in PROPERTIES}),
        json.dumps(dict.fromkeys(PROPERTIES)),
        '{"customerId":"\\u0000"}',
        '{"ratio":1e999999,"huge":1e999999}',
        '{"ratio":1e-99999}',
    ],
)
def test_no_value_is_refused_because_of_an_index(database: ViewDatabase, spec: JobSpec, document: str) -> None:
    database.make_views(spec)
    job_id = database.insert(spec, document, document)
    rows = database.connection.execute(text("SELECT id, params_customer_id FROM case_jobs WHERE status = 'completed'"))
    assert [row[0] for row in rows] == [job_id]


def test_rows_that_are_there_before_the_index_are_found_by_it(database: ViewDatabase, spec: JobSpec) -> None:
    job_ids = {database.insert(spec, json.dumps({"customerId": name})) for name in "aab"}
    database.insert(spec, "nonsense")
    database.insert(spec, json.dumps({"customerId": "a"}), job_name="Other")
    database.make_views(spec)
    found = database.connection.execute(text("SELECT id FROM case_jobs WHERE params_customer_id IN ('a', 'b')"))
    assert set(found.scalars()) == job_ids


@pytest.mark.parametrize(
    ("pointer", "message"),
    [
        ("/customerId", '(did you mean "/params/customerId"?)'),
        ("customerId", "must start with /params/ or /result/"),
        ("", "must start with /params/ or /result/"),
        ("/param/customerId", 'not "/param/customerId" (did you mean "/params/customerId"?)'),
        ("/params/customerid", 'leads to no property of params (did you mean "/params/customerId"?)'),
        ("/params", "leads to no property of params"),
        ("/result/nested/a", "leads below a property; only properties of result itself are columns of the view"),
        ("/params/nested", "is an array, an object or of several types; only single values have an index"),
        ("/params/tags", "is an array, an object or of several types"),
        ("/params/either", "is an array, an object or of several types"),
        ('/params/say "x"', "has a quote, a backslash or an invisible character in its name"),
        ("/params/count", "is redacted, or contains a redacted value; an index would store it"),
    ],
)
def test_a_pointer_that_leads_to_no_column_is_a_problem(tmp_path: Path, pointer: str, message: str) -> None:
    spec = indexed(tmp_path, "/result/count", pointer, redact=("/count",))
    (problem,) = problems(tmp_path, {"case.json": spec})
    assert message in problem
    assert "/x-job/indexes/1 " in problem


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("/params/count", "must be a list of up to 20 JSON pointers"),
        ([1], "must list JSON pointers such as"),
        (["/params/count", "/params/count"], 'lists "/params/count" twice'),
        ([f"/params/{n}" for n in range(21)], "must be a list of up to 20 JSON pointers"),
    ],
)
def test_anything_but_a_list_of_different_pointers_is_a_problem(tmp_path: Path, value: object, message: str) -> None:
    spec = a_spec(an_object(**PROPERTIES), **{"x-job": {"indexes": value}})
    (problem,) = problems(tmp_path, {"case.json": spec})
    assert message in problem


def test_an_index_needs_the_view(tmp_path: Path) -> None:
    spec = a_spec(an_object(**PROPERTIES), **{"x-job": {"indexes": ["/params/count"], "view": False}})
    (problem,) = problems(tmp_path, {"case.json": spec})
    assert "/x-job/indexes needs the view, whose columns get the indexes" in problem
