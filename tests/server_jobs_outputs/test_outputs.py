"""Optional outputs: only the selected ones are written, and they disappear when they are no longer selected."""

from __future__ import annotations

import ast
import json
import os
import tempfile
from pathlib import Path
from typing import cast

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from server_jobs_generator.ir.spec import read_specs
from server_jobs_generator.outputs import TESTING, output_names
from server_jobs_generator.render.job_files import schema_module
from server_jobs_http.app import PREFIX
from server_jobs_http.openapi import document
from server_jobs_outputs.api_documents import json_text, openapi_text

from generated.jobs import SendEmail
from generated.registry import registry
from tests.generator.projects import ask_for, generated_project, job_spec, make_project
from tests.generator.spec_language import DEFINITIONS, Schema, object_schemas, schemas
from tests.generator.spec_projects import a_spec, read

ROOT = Path(__file__).parents[2]
FEW = 500 if os.environ.get("SERVER_JOBS_LONG_TESTS") else 8
"""The number of specs for property tests of outputs."""


def test_a_project_that_asks_for_nothing_gets_none_of_it(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    ask_for(project)
    project.generate()

    folders = {path.name for path in project.path("generated").iterdir() if path.is_dir()}
    assert folders == {"jobs", "migrations", "models"}
    assert "schemas" not in project.read("generated/jobs/send_email.py")


def test_a_project_may_leave_out_the_worker_and_take_it_back(tmp_path: Path) -> None:
    project = generated_project(tmp_path)
    pyproject, before = project.read("pyproject.toml"), project.files()
    of_worker = {path for path in before if path.startswith("generated/worker/")}
    settings = {path for path in of_worker if path.endswith((".jsonc", "pyproject.toml", "package.json"))}

    ask_for(project)
    left_out = project.generate().output
    assert project.files().keys() == before.keys() - of_worker | settings
    assert "worker/wrangler.jsonc is no longer used: its spec, that version of it, or its output, is gone" in left_out
    for path in settings:
        project.path(path).unlink()
    project.generate()
    assert project.generate().output == "nothing changed\n"
    refused = project.run("check", "--target", "cloudflare")
    assert refused.exit_code == 3
    assert "this project has no output 'cloudflare' to check; add it to `outputs`" in refused.stderr

    project.path("pyproject.toml").write_text(pyproject, encoding="utf-8")
    project.generate()
    assert project.files() == before


def test_without_a_worker_a_new_revision_has_no_sql_for_it(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    ask_for(project)
    project.generate()
    project.write_spec("greet", job_spec("Greet"))
    project.generate()

    assert not project.path("generated/worker").exists()
    assert project.run("check").exit_code == 0


@pytest.mark.parametrize("outputs", [(TESTING,), tuple(word for word in output_names() if word != TESTING)])
def test_selected_outputs_are_written_checked_and_removed_again(tmp_path: Path, outputs: tuple[str, ...]) -> None:
    project = make_project(tmp_path / "project")
    ask_for(project)
    project.generate()
    before = project.files()
    plain = project.read("pyproject.toml")

    ask_for(project, *outputs)
    assert project.run("check").exit_code == 1
    project.generate()
    assert len(project.files().keys() - before) >= len(outputs)
    assert project.run("check").exit_code == 0

    for path in project.path("generated/worker").glob("*.j*") if "cloudflare" in outputs else ():
        path.unlink()  # the user's
    project.path("generated/worker/pyproject.toml").unlink(missing_ok=True)
    project.path("pyproject.toml").write_text(plain, encoding="utf-8")
    project.generate()
    assert project.files() == before


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ('outputs = ["typescrip"]', "outputs has no word 'typescrip' (did you mean \"typescript\"?)"),
        (
            'outputs = ["java"]',
            "it may have asyncapi, catalogue, cloudflare, kubernetes, llms, openapi, testing",
        ),
        (
            'outputs = ["cloudflare"]\nhandlers = "generated/worker/handlers"',
            "handlers = 'generated/worker/handlers' is in a folder that the output 'cloudflare' writes",
        ),
        ('outputs = ["cloudflare"]\ndatabases.eu = "A"', "a Worker has one database"),
    ],
)
def test_a_setting_that_no_output_can_follow_is_refused(tmp_path: Path, setting: str, message: str) -> None:
    project = make_project(tmp_path / "project")
    project.path("pyproject.toml").write_text(f"[tool.server-jobs]\n{setting}\n", encoding="utf-8")

    refused = project.run("generate")

    assert refused.exit_code == 3
    assert message in refused.stderr


def test_this_repository_asks_for_all_of_it() -> None:
    found = {path.name for path in (ROOT / "generated/contracts").iterdir()} | {
        path.name for path in (ROOT / "generated").iterdir()
    }

    documents = {"asyncapi.json", "catalogue.html", "catalogue.md", "jobs.ts", "llms.txt", "openapi.json"}
    assert found >= documents | {"schemas", "testing"}


def test_the_document_that_is_written_is_the_one_that_is_served() -> None:
    written = json.loads((ROOT / "generated/contracts/openapi.json").read_text(encoding="utf-8"))

    assert written == document(registry, server=PREFIX)
    assert json.loads(openapi_text(read_specs(ROOT, ROOT / "specs").jobs)) == written
    assert written["paths"]["/jobs/SendEmail"]["post"]["description"] == SendEmail.__doc__


def test_the_document_has_the_words_of_the_spec() -> None:
    written = json.loads((ROOT / "generated/contracts/openapi.json").read_text(encoding="utf-8"))
    spec = json.loads((ROOT / "specs/send_email.json").read_text(encoding="utf-8"))

    described = written["components"]["schemas"]["SendEmailParams"]
    assert described["properties"]["body"] == spec["properties"]["params"]["properties"]["body"]
    assert described["properties"]["subject"] == {"$ref": "#/components/schemas/SendEmailParams.SubjectLine"}
    assert described["examples"] == spec["properties"]["params"]["examples"]


def test_the_document_has_no_way_to_enqueue_a_retired_job(tmp_path: Path) -> None:
    specs = read(tmp_path, {"new.json": a_spec(), "old.json": a_spec(**{"x-job": {"status": "retired"}})})
    written = json.loads(openapi_text(specs.jobs))

    assert "/jobs/New" in written["paths"]
    assert "Old" not in json.dumps(written)


@given(st.text() | st.sampled_from(["\U0001f600", "\U000e0001", "\x7f\x85\u2028\ufeff\uffff", "\ud83d", "\\u00e9"]))
def test_a_document_is_text_that_can_be_seen_and_is_yaml_as_well(text: str) -> None:
    document = json_text({text: [text]})

    assert json.loads(document) == {text: [text]}
    assert all(one.isprintable() or one == "\n" or ord(one) > 0xFFFF for one in document)
    if text.isprintable():
        assert yaml.safe_load(document) == {text: [text]}


def test_a_document_keeps_non_ascii_text() -> None:
    assert json_text("Grüße, \U0001f600\x7f") == '"Grüße, \U0001f600\\u007f"\n'


@settings(max_examples=FEW)
@given(
    object_schemas(schemas),
    st.fixed_dictionaries(dict.fromkeys(DEFINITIONS, schemas)),
    st.text() | st.just('"""\n\\'),
)
def test_the_module_of_a_job_contains_exactly_its_schemas(params: Schema, definitions: Schema, text: str) -> None:
    params = {**params, "description": text}
    with tempfile.TemporaryDirectory() as folder:
        make_project(Path(folder), {})
        specs = read(Path(folder), {"case.json": a_spec(params, description=text, **{"$defs": definitions})})

    for job in specs.jobs:
        call = cast("ast.Assign", ast.parse(schema_module(job)).body[-1]).value
        values = {word.arg: ast.literal_eval(word.value) for word in cast("ast.Call", call).keywords}
        assert values == {"params": job.params, "result": job.result} | (
            {"description": job.description} if job.description else {}
        )
