"""One call of the code generator for many jobs gives what a call for each job gives."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytest
from pydantic import JsonValue
from server_jobs_generator.ir.spec import JobSpec, read_specs
from server_jobs_generator.models import property_types
from server_jobs_generator.models.model_module import render_all_models, render_models
from server_jobs_generator.models.model_plan import plan_models
from server_jobs_generator.models.property_types import PropertyTypes, read_type
from server_jobs_generator.python.code_check import IMPORTABLE, GeneratedCodeError

from tests.generator.projects import job_spec, make_project

NODE: Mapping[str, object] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]}, "name": {"type": "string"}},
}
TEXT: Mapping[str, object] = {"type": "string", "minLength": 1, "pattern": "^[a-z]+$"}
SHAPES: tuple[dict[str, object], ...] = (
    {"a": {"type": "string", "maxLength": 3}, "b": {"type": "string", "maxLength": 3}},
    {"a": {"type": "array", "items": TEXT}, "b": {"type": "array", "items": {**TEXT, "minLength": 2}}},
    {"a": {"$ref": "#/$defs/Node"}, "b": {"type": "array", "items": {"$ref": "#/$defs/Node"}}},
    {"b": {"anyOf": [{"$ref": "#/$defs/Node"}, TEXT, {"type": "array", "items": TEXT}]}},
    {"a": {"enum": [1, 2]}, "b": {"enum": ["1", "#/$defs/C2"]}, "c": {"const": True}},
    {"a": {"type": "object", "additionalProperties": {"$ref": "#/$defs/Node"}}, "b": {"type": "integer", "minimum": 1}},
    {"a": {"type": ["string", "null"], "format": "date-time"}, "b": {"type": "number", "minimum": 1.0}},
    {"a": {"type": "array", "prefixItems": [TEXT, {"$ref": "#/$defs/Node"}], "items": False, "minItems": 2}},
    {"a": {"type": "number", "exclusiveMinimum": 0}, "b": {"type": "string", "maxLength": 3.0, "not": {"const": "a"}}},
    {"a": {"type": "array", "items": {"type": "string", "not": {"const": "a"}}, "uniqueItems": True}},
    {
        "b": {
            "anyOf": [
                {"type": "integer", "not": {"const": 1}},
                {"type": "string", "maxLength": 4, "not": {"const": ""}},
            ]
        }
    },
)


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> list[JobSpec]:
    specs = {f"job_{number}": _spec(f"Job{number}", properties) for number, properties in enumerate(SHAPES)}
    project = make_project(tmp_path_factory.mktemp("types") / "project", specs)
    found = read_specs(project.root, project.root / "specs")
    assert found.problems == ()
    return list(found.jobs)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Mapping[str, JsonValue]]:
    """The questions of each call of the code generator."""
    asked: list[Mapping[str, JsonValue]] = []

    def counted(properties: Mapping[str, JsonValue]) -> str:
        asked.append(properties)
        return written(properties)

    written = property_types.written_fields
    monkeypatch.setattr(property_types, "written_fields", counted)
    return asked


def test_the_types_of_a_job_do_not_depend_on_other_jobs(jobs: list[JobSpec]) -> None:
    plans = [plan_models(job, IMPORTABLE) for job in jobs]
    together = PropertyTypes()
    together.ask(plans)
    for plan in plans:
        alone = PropertyTypes()
        alone.ask([plan])
        assert together.of(plan) == alone.of(plan)


def test_the_order_of_the_jobs_changes_no_module(jobs: list[JobSpec]) -> None:
    alone = [render_models(job) for job in jobs]
    assert render_all_models(jobs, PropertyTypes()) == alone
    assert render_all_models(jobs[::-1], PropertyTypes()) == alone[::-1]


def test_the_code_generator_is_called_once_for_all_jobs(
    jobs: list[JobSpec], calls: list[Mapping[str, JsonValue]]
) -> None:
    render_all_models([*jobs, *jobs], PropertyTypes())
    (questions,) = calls
    assert len(questions) < 40


def test_known_answers_are_not_asked_for_again(jobs: list[JobSpec], calls: list[Mapping[str, JsonValue]]) -> None:
    first = PropertyTypes()
    texts = render_all_models(jobs, first)
    assert render_all_models(jobs, PropertyTypes(dict(first.answers))) == texts
    assert len(calls) == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"a": {**TEXT, "maxLength": 4}, "b": {"type": "array", "items": TEXT}},
        {"first": TEXT, "a": {**TEXT, "maxLength": 3}, "b": {"type": "array", "items": TEXT}},
    ],
    ids=["another limit", "a property like others"],
)
def test_a_common_change_is_no_new_question(
    tmp_path: Path, calls: list[Mapping[str, JsonValue]], changed: Mapping[str, object]
) -> None:
    types = PropertyTypes()
    before = {"a": {**TEXT, "maxLength": 3}, "b": {"type": "array", "items": TEXT}}
    for number, properties in enumerate((before, changed)):
        project = make_project(tmp_path / f"{number}/project", {"limited": _spec("Limited", properties)})
        (job,) = read_specs(project.root, project.root / "specs").jobs
        assert "min_length=1, max_length=" in render_all_models([job], types)[0]
    assert len(calls) == 1


@pytest.mark.parametrize(
    "annotation", ["", "1", "Named()", "Secret", "str | exit()", "list[f()]", "Annotated[str, Field()]", "(" * 10_000]
)
def test_an_unknown_annotation_is_refused(annotation: str) -> None:
    with pytest.raises(GeneratedCodeError):
        read_type(annotation)


def _spec(title: str, properties: Mapping[str, object]) -> dict[str, object]:
    spec = job_spec(title)
    parts = cast("dict[str, dict[str, JsonValue]]", spec["properties"])
    parts["params"]["properties"] = cast("JsonValue", properties)
    return {**spec, "$defs": {"Node": NODE}}
