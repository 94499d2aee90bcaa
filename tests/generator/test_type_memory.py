"""Asking for the types of many jobs at once gives what asking for each alone gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import pytest
from pydantic import JsonValue
from server_jobs_generator.ir.spec import JobSpec, read_specs
from server_jobs_generator.models import code_generator, type_memory
from server_jobs_generator.models.code_generator import read_types
from server_jobs_generator.models.model_module import render_all_models, render_models
from server_jobs_generator.models.model_plan import ModelPlan, plan_models
from server_jobs_generator.models.type_memory import TypeMemory, read_type
from server_jobs_generator.python.code_check import IMPORTABLE

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
    project = make_project(tmp_path_factory.mktemp("memory") / "project", specs)
    found = read_specs(project.root, project.root / "specs")
    assert found.problems == ()
    return list(found.jobs)


def test_the_types_are_those_the_code_generator_gives_for_each_job(jobs: list[JobSpec]) -> None:
    plans = [plan_models(job, IMPORTABLE) for job in jobs]
    memory = TypeMemory()
    alone = [read_types(plan) for plan in plans]
    assert list(memory.types_of(plans)) == alone
    later = TypeMemory(memory.written_down())
    assert list(later.types_of(plans)) == alone
    assert later.new == {}


def test_other_limits_are_no_other_question_and_none_gets_lost(jobs: list[JobSpec]) -> None:
    plan = plan_models(jobs[0], IMPORTABLE)
    memory = TypeMemory()
    list(memory.types_of([plan]))
    asked = dict(memory.new)
    for item in plan.classes.values():
        for each in item.properties:
            assert isinstance(each.prepared, dict)
            each.prepared["maxLength"] = 0
    assert list(memory.types_of([plan])) == [read_types(plan)]
    assert memory.new == asked


@pytest.mark.parametrize(
    "text", ["", "1", "Named()", "Named(__import__('os'))", "Named(name=exit())", "Thing(name='x')", "(" * 10_000]
)
def test_an_answer_that_is_none_is_not_taken(text: str) -> None:
    with pytest.raises(ValueError, match="is not a type"):
        read_type(text)


def test_the_order_of_the_jobs_and_their_company_change_nothing(jobs: list[JobSpec]) -> None:
    alone = [render_models(job) for job in jobs]
    assert list(render_all_models(jobs)) == alone
    assert list(render_all_models(jobs[::-1])) == alone[::-1]


def test_many_jobs_that_are_alike_are_one_question(jobs: list[JobSpec], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[ModelPlan] = []

    def counted(plan: ModelPlan) -> str:
        asked.append(plan)
        return written(plan)

    written = code_generator.written_models
    monkeypatch.setattr(code_generator, "written_models", counted)
    list(render_all_models([*jobs, *jobs]))
    assert len(asked) == 1


def test_more_questions_than_go_into_one_call_are_all_answered(
    jobs: list[JobSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once = list(render_all_models(jobs))
    monkeypatch.setattr(type_memory, "_AT_ONCE", 2)
    assert list(render_all_models(jobs)) == at_once


def _spec(title: str, properties: Mapping[str, object]) -> dict[str, object]:
    spec = job_spec(title)
    parts = cast("dict[str, dict[str, JsonValue]]", spec["properties"])
    parts["params"]["properties"] = cast("JsonValue", properties)
    return {**spec, "$defs": {"Node": NODE}}
