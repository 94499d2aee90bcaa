"""Editors complete and explain specs with a schema in the project, without network or settings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from server_jobs_generator.lint.job_lint import lint_job
from server_jobs_generator.lint.schema_lint import SchemaLint
from server_jobs_generator.options.schema import spec_schema_text
from server_jobs_generator.read.document import read_document

from tests.generator.projects import run_command

SCHEMA = spec_schema_text().encode()


@pytest.mark.slow
def test_a_new_project_maps_its_specs_to_a_schema_that_is_there(tmp_path: Path) -> None:
    assert run_command("init", str(tmp_path)).exit_code == 0
    settings = json.loads((tmp_path / ".vscode/settings.json").read_text(encoding="utf-8"))
    (entry,) = settings["json.schemas"]
    assert (tmp_path / entry["url"]).read_bytes() == SCHEMA
    assert entry["fileMatch"] == ["/specs/*.json", "/specs/*.jsonc"]
    assert settings["yaml.schemas"] == {entry["url"]: ["/specs/*.yaml", "/specs/*.yml"]}
    spec = json.loads((tmp_path / "specs/hello.json").read_text(encoding="utf-8"))
    assert (tmp_path / "specs" / spec["$schema"]).read_bytes() == SCHEMA
    (tmp_path / entry["url"]).unlink()
    assert "MISSING generated/spec.schema.json" in run_command("check", "--project", str(tmp_path)).output


def test_settings_that_are_there_already_stay(tmp_path: Path) -> None:
    (tmp_path / ".vscode").mkdir()
    (tmp_path / ".vscode/settings.json").write_text("{}", encoding="utf-8")
    assert run_command("init", str(tmp_path)).exit_code == 0
    assert (tmp_path / ".vscode/settings.json").read_text(encoding="utf-8") == "{}"


def test_a_spec_may_name_the_schema_by_its_path() -> None:
    document = read_document("specs/x.json", b'{"$schema": "../generated/spec.schema.json"}').document
    assert document is not None
    lint = SchemaLint(document)
    lint_job(lint, "x")
    assert not any(problem.pointer == "/$schema" for problem in lint.report.errors)
