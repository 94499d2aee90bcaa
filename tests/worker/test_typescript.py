"""The generated TypeScript, checked by its compiler, and used by programs in Node."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import asyncpg
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, JsonValue
from server_jobs.contract.documents import write_params
from server_jobs.contract.job_keys import job_keys
from server_jobs.domain.options import JobOptions
from server_jobs.schema import metadata
from server_jobs.security.links import events_link
from server_jobs.security.tokens import Tokens
from server_jobs.stores.sql.parameters import milliseconds
from server_jobs_generator.ir.spec import JobSpec
from server_jobs_generator.models.model_module import render_models
from server_jobs_outputs.typescript.module import typescript_text
from sqlalchemy import create_engine

from generated.jobs import SendEmail
from tests.conformance.new_columns import GIVEN_TYPES
from tests.conformance.stores import create_sqlite_file
from tests.generator.databases import postgres_database
from tests.generator.spec_language import DEFINITIONS, Schema, object_schemas, schemas
from tests.generator.spec_projects import a_spec, an_object, loaded, read
from tests.worker import tools

HERE = Path(__file__).parent / "typescript"
ROOT = Path(__file__).parents[2]
TOKEN = "Zq3-aN7vR0yKx5mWb1TfJ8pLc2HsUd9eGoIt4nQiXYk"
MANY = 300 if os.environ.get("SERVER_JOBS_LONG_TESTS") else 40


def compiled(folder: Path) -> str:
    """Return the compiler's messages about the TypeScript in a folder."""
    shutil.copy(HERE / "tsconfig.json", folder)
    (folder / "package.json").write_text('{"type": "module"}', encoding="utf-8")
    # Node's own types are not installed; the programs use only these declarations.
    (folder / "node.d.ts").write_text(
        "declare const process: { argv: string[]; stdout: { write(text: string): void } };\n"
        'declare module "node:sqlite" { export class DatabaseSync { constructor(path: string);\n'
        "  prepare(sql: string): { all(...parameters: (string | number | null)[]): unknown[] }; } }\n"
        'declare module "node:fs" { export function readFileSync(file: number, encoding: string): string; }\n'
        'declare module "node:url" { export function pathToFileURL(path: string): URL; }\n',
        encoding="utf-8",
    )
    done = tools.node(
        str(tools.NODE_MODULES / "typescript/bin/tsc"), "-p", ".", folder=folder, environment=dict(os.environ)
    )
    return f"{done.stdout}{done.stderr}"


@pytest.fixture
def application(tmp_path: Path) -> Path:
    """Return a folder with the programs, and the module generated for this repository."""
    for file in (*HERE.glob("*.ts"), ROOT / "generated/contracts/jobs.ts"):
        shutil.copy(file, tmp_path)
    return tmp_path


def test_the_module_of_this_repository_compiles_and_rejects_invalid_values(application: Path) -> None:
    assert compiled(application) == ""


def test_the_compiler_would_notice_a_type_that_takes_anything(application: Path) -> None:
    module = application / "jobs.ts"
    text = module.read_text(encoding="utf-8")
    module.write_text(text.replace("to: SendEmailEmailAddress[];", "to: any;"), encoding="utf-8")

    assert "Unused '@ts-expect-error' directive" in compiled(application)


def test_jobs_from_typescript_are_run_by_the_worker(application: Path) -> None:
    database = application / "jobs.sqlite3"
    create_sqlite_file(database)
    environment = {**os.environ, "JOBS_TOKEN": TOKEN, "OUTBOX_DIR": str(application / "outbox")}
    environment["SERVER_JOBS_DATABASE_URL"] = f"sqlite:///{database}"
    command = [sys.executable, "-m", "server_jobs_cli"]
    server = subprocess.Popen(
        [*command, "serve", "--port", "0"], env=environment, cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    try:
        assert server.stderr is not None
        found = re.search(r"http://\S+/_jobs", server.stderr.readline())
        assert found is not None
        program = subprocess.Popen(
            [tools.NODE, "application.ts", str(database), found[0], TOKEN, os.environ["JOBS_KEY_SECRET"]],
            cwd=application,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert program.stdout is not None
        first = json.loads(program.stdout.readline() or "null")
        worker = [*command, "worker", "--until-empty"]
        subprocess.run(worker, env=environment, cwd=ROOT, check=True, capture_output=True)
        link = SendEmail.handle(first["sent"]["id"]).events_link(base=found[0], tokens=Tokens(TOKEN))
        batch = events_link("batches", first["many"]["id"], found[0], timedelta(minutes=5), Tokens(TOKEN))
        rest, errors = program.communicate(f"{link}\n{batch}", timeout=60)
    finally:
        server.kill()
        server.communicate()

    assert program.returncode == 0, errors
    assert first["inserted"]["isStored"]
    assert not first["insertedAgain"]["isStored"]
    assert first["sent"]["created"]
    assert first["sentAgain"] == {"id": first["inserted"]["id"], "job_name": "SendEmail", "created": False}
    assert first["refused"]["status"] == 422
    assert [one["pointer"] for one in first["refused"]["errors"]] == ["/params/to"]
    second = json.loads(rest)
    assert second["jobs"] == ["completed", "completed"]
    assert second["transports"] == ["outbox", "outbox"]
    assert second["statuses"][-1] == "completed"
    assert second["linked"] == ["completed"]
    assert [one["created"] for one in first["many"]["jobs"]] == [True, True]
    assert (second["counts"], second["last"]) == ([2, 2], "completed")
    assert second["finished"] == [[one["id"], "completed"] for one in first["many"]["jobs"]]
    assert second["again"] == [first["sent"]["id"]]
    assert len(list((application / "outbox").iterdir())) == 5


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6)
VALUES = st.fixed_dictionaries(
    {"text": TEXTS, "kind": st.sampled_from(("a", "ü"))},
    optional={
        "count": st.integers(-(2**53) + 1, 2**53 - 1),
        "words": st.lists(TEXTS, max_size=3),
        "flag": st.booleans() | st.none(),
        "place": st.fixed_dictionaries({}, optional={"a/b": TEXTS, "c~": TEXTS}),
    },
)
PARAMS = {
    **an_object(
        text={"type": "string"},
        kind={"$ref": "#/$defs/Kind"},
        count={"type": "integer", "default": 7},
        words={"type": "array", "items": {"type": "string"}, "default": ["x"]},
        flag={"type": ["boolean", "null"]},
        place=an_object(**{"a/b": {"type": "string", "default": "é"}, "c~": {"type": "string"}}),
    ),
    "required": ["text", "kind"],
}
_DUE = ("scheduled_for", "delay")
EVERYWHERE = ["/text", "/kind", "/count", "/words", "/flag", "/place/a~1b", "/place/c~0"]


@pytest.mark.parametrize(
    "x_job",
    [
        {"unique": {"by": EVERYWHERE}, "version": 3, "queue": "q", "priority": -3, "maxAttempts": 9},
        {"expiresAfter": "PT0.25S"},
        {
            "unique": {"by": ["/text", "/count"]},
            "rate": {"limit": 1, "per": "PT1M", "by": ["/kind"]},
            "redact": ["/text"],
        },
        {"concurrency": {"limit": 2, "by": EVERYWHERE[:3]}, "rate": {"limit": 1, "per": "PT1M", "by": EVERYWHERE[3:]}},
        {"rate": {"limit": 1, "per": "PT1M"}, "unique": {"by": ["/words"]}},
        {},
    ],
)
def test_a_row_from_typescript_has_the_keys_of_one_from_python(tmp_path: Path, x_job: Mapping[str, object]) -> None:
    cases: list[JsonValue] = []

    @settings(deadline=None, max_examples=MANY, database=None)
    @given(VALUES)
    def collect(case: JsonValue) -> None:
        cases.append(case)

    collect()
    spec = a_spec(PARAMS, **{"x-job": x_job, "$defs": {"Kind": {"enum": ["a", "ü"]}}})
    (job,) = read(tmp_path, {"case.json": spec}).jobs
    with loaded(render_models(job)) as module:
        secret: JsonValue = {"keySecret": os.environ["JOBS_KEY_SECRET"]}
        made = rows(tmp_path, job, [["Case", case, secret] for case in cases])
        expected = [_expected(job, module.CaseParams, case) for case in cases]

    for row, case, keys in zip(made, cases, expected, strict=True):
        assert isinstance(row, dict), row
        stored = named(row["parameters"])
        assert json.loads(stored["params"]) == case
        assert (stored["unique_key"], stored["concurrency_key"], stored["rate_key"]) == keys, case
        options = job.options
        expected_values = {
            "job_name": "Case",
            "queue": options.queue,
            "priority": options.priority,
            "spec_version": options.version,
            "max_attempts": options.max_attempts,
            "scheduled_for": None,
            "delay": 0,
            "expires_after": None if options.expires_after is None else milliseconds(options.expires_after),
            "correlation_id": None,
        }
        assert {name: stored[name] for name in expected_values} == expected_values


def named(parameters: Sequence[Any]) -> dict[str, Any]:
    """Return the parameters of an insert by the names of their columns."""
    return dict(zip((*GIVEN_TYPES, *_DUE, "expires_after"), parameters, strict=True))


async def test_postgresql_runs_the_statement_and_stores_the_same_as_python(tmp_path: Path) -> None:
    x_job = {"unique": {"by": ["/text"]}, "concurrency": {"limit": 1}, "queue": "q", "priority": 5}
    (job,) = read(tmp_path, {"case.json": a_spec(an_object(text={"type": "string"}), **{"x-job": x_job})}).jobs
    options: Schema = {"correlationId": "c", "maxAttempts": 2}
    cases: list[JsonValue] = [["Case", {"text": "ü"}, {**options, "delaySeconds": 60}], ["Case", {"text": "ü"}, {}]]
    first, second = rows(tmp_path, job, [cast("list[JsonValue]", case) for case in cases])
    with postgres_database() as url:
        engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
        metadata.create_all(engine)
        connection = await asyncpg.connect(url)
        stored = [await connection.fetch(one["sql"], *one["parameters"]) for one in (first, second)]
        found = dict(await connection.fetchrow("SELECT *, scheduled_for - created_at AS delay FROM jobs"))
        await connection.close()
        engine.dispose()

    assert [len(one) for one in stored] == [1, 0]
    text = '{"text":"ü"}'
    expected = {
        "id": first["id"],
        "job_name": "Case",
        "params": text,
        "status": "pending",
        "queue": "q",
        "priority": 5,
        "spec_version": 1,
        "max_attempts": 2,
        "unique_key": job_keys("Case", JobOptions(unique_by=("/text",)), text).unique,
        "concurrency_key": "",
        "rate_key": "",
        "correlation_id": "c",
        "attempt_count": 0,
        "delay": timedelta(minutes=1),
    }
    assert {key: found[key] for key in expected} == expected


@pytest.mark.parametrize("secret", [{}, {"keySecret": "x" * 42}])
def test_the_key_of_a_redacted_value_needs_a_secret_in_typescript_too(tmp_path: Path, secret: Schema) -> None:
    x_job = {"unique": {"by": ["/text"]}, "redact": ["/text"]}
    (job,) = read(tmp_path, {"case.json": a_spec(an_object(text={"type": "string"}), **{"x-job": x_job})}).jobs

    (said,) = rows(tmp_path, job, [["Case", {"text": "x"}, cast("JsonValue", secret)]])

    assert said == "TypeError: the key of Case covers a redacted value: give the text of JOBS_KEY_SECRET as keySecret"


def test_a_project_without_jobs_has_a_module_that_compiles(tmp_path: Path) -> None:
    (tmp_path / "jobs.ts").write_text(typescript_text([]), encoding="utf-8")

    assert compiled(tmp_path) == ""


def _expected(job: JobSpec, model: type[BaseModel], params: JsonValue) -> tuple[str | None, ...]:
    _, text = write_params("Case", model, params)
    return job_keys("Case", job.options, text)[:3]  # a statement has no shard key


def rows(folder: Path, job: JobSpec, cases: Sequence[Sequence[JsonValue]]) -> list[Any]:
    """Return the statement for each case, or the reason why there is none, from a program in Node."""
    (folder / "package.json").write_text('{"type": "module"}', encoding="utf-8")
    (folder / "jobs.ts").write_text(typescript_text([job]), encoding="utf-8")
    shutil.copy(HERE / "rows.ts", folder)
    done = subprocess.run(
        [tools.NODE, "rows.ts", str(folder / "jobs.ts")],
        cwd=folder,
        input=json.dumps(cases),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.split("\n") if line]


@pytest.mark.parametrize(
    ("params", "options", "said"),
    [
        ({"a": "\0"}, {}, "NUL"),
        ({"a": "\ud800"}, {}, "lone surrogates"),
        ({"a": "x" * 2**20}, {}, "at most 1048576 are stored"),
        ({}, {"priority": 101}, "priority must be a whole number between -100 and 100, not 101"),
        ({}, {"maxAttempts": 0}, "maxAttempts must be"),
        ({}, {"delaySeconds": 1.5}, "delaySeconds must be"),
        ({}, {"delaySeconds": -1}, "delaySeconds must be"),
        ({}, {"expiresAfterSeconds": 0}, "expiresAfterSeconds must be"),
        ({}, {"uniqueKey": "\0"}, "NUL"),
        ({}, {"uniqueKey": "😀" * 501}, "the length of uniqueKey must be a whole number between 0 and 500, not 501"),
    ],
)
def test_values_that_no_store_keeps_are_refused_in_typescript_too(
    tmp_path: Path, params: JsonValue, options: JsonValue, said: str
) -> None:
    (job,) = read(tmp_path, {"case.json": a_spec(an_object(a={"type": "string"}))}).jobs

    (row,) = rows(tmp_path, job, [["Case", params, options]])

    assert said in row


@pytest.mark.parametrize(
    ("moment", "said"),
    [
        ("9999-12-31T23:59:59.999Z", None),
        ("0001-01-01T00:00:00.000Z", None),
        ("+010000-01-01T00:00:00.000Z", "must be within the years 1 to 9999, not 10000"),
        ("0000-12-31T23:59:59.999Z", "must be within the years 1 to 9999, not 0"),
        ("never", "is not a valid time"),
    ],
)
def test_a_job_becomes_due_within_the_years_that_python_knows(tmp_path: Path, moment: str, said: str | None) -> None:
    (job,) = read(tmp_path, {"case.json": a_spec()}).jobs

    (row,) = rows(tmp_path, job, [["Case", {}, {"scheduledFor": moment}]])

    if said is not None:
        assert row == f"RangeError: scheduledFor {said}"
    else:
        due = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=named(row["parameters"])["scheduled_for"])
        assert due == datetime.fromisoformat(moment)


def test_a_job_whose_keys_might_differ_is_enqueued_over_http_only(tmp_path: Path) -> None:
    spec = a_spec(an_object(at={"type": "string", "format": "date-time"}), **{"x-job": {"unique": {"by": ["/at"]}}})
    (job,) = read(tmp_path, {"case.json": spec}).jobs

    (row,) = rows(tmp_path, job, [["Case", {"at": "2026-03-29T08:30:00+00:00"}, {}]])
    program = 'import { insertJob } from "./jobs.ts";\nvoid insertJob("sqlite", "Case", {});\n'
    (tmp_path / "program.ts").write_text(program, encoding="utf-8")
    (tmp_path / "rows.ts").unlink()

    assert row == "TypeError: Case can be enqueued over HTTP only"
    assert "program.ts(2,26): error" in compiled(tmp_path)


def test_a_retired_job_can_be_read_but_neither_enqueued_nor_inserted(tmp_path: Path) -> None:
    spec = a_spec(an_object(), an_object(a={"type": "string"}), **{"x-job": {"status": "retired"}})
    (job,) = read(tmp_path, {"case.json": spec}).jobs
    (row,) = rows(tmp_path, job, [["Case", {}, {}]])
    program = """\
import { insertJob, JobsClient } from "./jobs.ts";
const client = new JobsClient({ url: "", token: "" });
export const read: Promise<string | undefined> = client.job<"Case">("1").then((job) => job.result?.a);
// @ts-expect-error It is retired.
void insertJob("sqlite", "Case", {});
// @ts-expect-error It is retired.
void client.enqueue("Case", {});
"""
    (tmp_path / "program.ts").write_text(program, encoding="utf-8")
    (tmp_path / "rows.ts").unlink()

    assert row == "TypeError: there is no job Case that can be enqueued"
    assert compiled(tmp_path) == ""


def test_an_object_of_parts_rejects_properties_that_none_declares(tmp_path: Path) -> None:
    base = {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}}
    kinds = [{"type": "object", "required": [one], "properties": {one: {"type": "null"}}} for one in ("a", "b")]
    parts = {"allOf": [{"$ref": "#/$defs/Base"}], "oneOf": kinds}
    params = {"type": "object", **parts, "unevaluatedProperties": False}
    spec = a_spec(params, **{"$defs": {"Base": base}})
    (job,) = read(tmp_path, {"case.json": spec}).jobs
    program = """\
import type { CaseParams } from "./jobs.ts";
export const both: CaseParams[] = [{ id: "1", a: null }, { id: "2", b: null }];
// @ts-expect-error No part declares it.
export const other: CaseParams = { id: "1", a: null, c: null };
"""
    (tmp_path / "jobs.ts").write_text(typescript_text([job]), encoding="utf-8")
    (tmp_path / "program.ts").write_text(program, encoding="utf-8")

    assert compiled(tmp_path) == ""


def test_the_compiler_takes_the_types_of_every_spec(tmp_path: Path) -> None:
    made: list[str] = []

    @settings(
        deadline=None,
        max_examples=MANY,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    @given(object_schemas(schemas), st.fixed_dictionaries(dict.fromkeys(DEFINITIONS, schemas)), st.text())
    def collect(params: Schema, definitions: Schema, text: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            spec = a_spec(params, params, description=text, **{"$defs": definitions})
            specs = read(Path(folder), {"case.json": spec})
        assume(not specs.problems)
        made.append(typescript_text(specs.jobs))

    collect()
    assert len(made) >= MANY // 2
    for number, text in enumerate(made):
        (tmp_path / f"case{number}.ts").write_text(text, encoding="utf-8")
    assert compiled(tmp_path) == ""


HOSTILE = (
    *("*/ alert(1) /*", "@ts-ignore", "@ts-expect-error", "// @ts-nocheck", "a\u2028b", "\r\n*/", "\\*/", "`${x}`"),
    *("</script>", "\u202e", "{{ x }}", '"', "'", "\\", "\x00", "constructor", "__proto__", "a b", "*\\/"),
)


def test_no_word_of_a_spec_becomes_code(tmp_path: Path) -> None:
    for number, word in enumerate(HOSTILE):
        inner = {"const": word, "description": word, "deprecated": True}
        params = an_object(**{f"a{word}": inner, "b": {"type": "string", "default": word, "description": f"x\n{word}"}})
        spec = {**a_spec(params, description=word), "description": word}
        folder = tmp_path / str(number)
        folder.mkdir()
        for job in read(folder, {"case.json": spec}).jobs:
            (tmp_path / f"case{number}.ts").write_text(typescript_text([job]), encoding="utf-8")

    assert len(list(tmp_path.glob("*.ts"))) >= len(HOSTILE) - 4
    assert compiled(tmp_path) == ""


def test_unsupported_schemas_get_a_wider_type(tmp_path: Path) -> None:
    strange = cast(
        "list[JsonValue]",
        [
            {"allOf": [{"type": "object", "properties": {"a": True}}, {"type": "object", "required": ["b"]}]},
            {"not": {"type": "string"}},
            {"if": {"type": "string"}, "then": {"minLength": 1}},
            {"properties": {"a": False}},
            {"type": "object", "patternProperties": {"^x": {"type": "string"}}, "additionalProperties": False},
            {"type": "array", "items": [{"type": "string"}], "additionalItems": False},
            {"type": "array", "prefixItems": [{"type": "string"}, True], "minItems": 1},
            {"$ref": "#/$defs/Loop"},
            {"$ref": "#/$defs/Nowhere"},
            {"$dynamicRef": "#x"},
            {"type": "banana"},
            {"enum": []},
            {"const": {"a": [1.5, {"*/": None}]}},
            {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": {"type": "number"}},
            {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/Tree"}], "type": ["string", "array"]},
        ],
    )
    definitions = {
        "Loop": {"anyOf": [{"$ref": "#/$defs/Loop"}, {"type": "string"}]},
        "Tree": {"type": "array", "items": {"$ref": "#/$defs/Tree"}},
    }
    properties: dict[str, JsonValue] = {f"p{number}": schema for number, schema in enumerate(strange)}
    schema = cast("Schema", {"type": "object", "properties": properties, "$defs": definitions})
    (job,) = read(tmp_path, {"case.json": a_spec()}).jobs
    (tmp_path / "case.ts").write_text(typescript_text([replace(job, params=schema, result=schema)]), encoding="utf-8")

    assert compiled(tmp_path) == ""
