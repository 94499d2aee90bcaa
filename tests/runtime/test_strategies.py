"""Strategies give what the models take, whatever the spec; and say so where they cannot."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
from hypothesis import HealthCheck, Phase, assume, find, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, JsonValue, RootModel
from server_jobs.formats import FORMATS
from server_jobs.json_schema import Schema as JsonSchema
from server_jobs.testing import params_strategy, result_strategy
from server_jobs.testing.format_values import FORMAT_VALUES
from server_jobs.testing.schema_values import SchemaValues
from server_jobs.testing.strategies import NoValuesError, SearchStrategy, smallest_of, values_of
from server_jobs_generator.models import render_models

from generated.jobs import DailyDigest, ImportCsv, SendEmail
from tests.generator.spec_language import DEFINITIONS, Schema, object_schemas, schemas
from tests.generator.spec_projects import a_spec, an_object, loaded, params_model, read
from tests.generator.test_outputs import FEW

QUICKLY = settings(max_examples=10, database=None)


class Anything(RootModel[JsonValue]):
    """Takes every document."""


def documents(schema: JsonSchema) -> SearchStrategy[JsonValue]:
    return SchemaValues(schema).of(schema)


def holds(schema: JsonSchema, holds_for: Callable[[JsonValue], bool]) -> None:
    """Each document made after a schema is as it should be."""

    @QUICKLY
    @given(documents(schema))
    def look(document: JsonValue) -> None:
        assert holds_for(document), document

    look()


@pytest.mark.parametrize("job", [DailyDigest, ImportCsv, SendEmail])
def test_the_jobs_of_this_repository_have_params_and_results(job: type[SendEmail]) -> None:
    @QUICKLY
    @given(params_strategy(job), result_strategy(job))
    def look(params: BaseModel, result: BaseModel) -> None:
        assert job.new_job(params).params
        assert isinstance(result, job.result_model)

    look()


@settings(
    max_examples=FEW,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
@given(object_schemas(schemas), st.fixed_dictionaries(dict.fromkeys(DEFINITIONS, schemas)), st.data())
def test_whatever_is_drawn_for_a_spec_fits_its_model(params: Schema, definitions: Schema, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        specs = read(Path(folder), {"case.json": a_spec(params, **{"$defs": definitions})})
    assume(not specs.problems)
    with loaded(render_models(specs.jobs[0])) as module:
        model = cast("type[BaseModel]", module.CaseParams)
        try:
            value = data.draw(values_of("Case", "params", specs.jobs[0].params, model))
        except NoValuesError:
            return
        # Pydantic warns of unions that it writes rightly; the engine does not ask for the warning either.
        assert model.model_validate_json(value.model_dump_json(warnings=False)) == value


def test_hardly_any_document_has_to_be_sieved_out(tmp_path: Path) -> None:
    params = an_object(
        text={"type": "string", "minLength": 2, "maxLength": 4},
        code={"type": "string", "pattern": "^[A-Z]{2}[0-9]+$"},
        number={"type": "string", "pattern": "^ORD-\\d{6}$"},
        word={"type": "string", "pattern": "^\\w+$"},
        count={"type": "integer", "minimum": 3, "exclusiveMaximum": 10, "multipleOf": 3},
        share={"type": "number", "exclusiveMinimum": 0, "maximum": 1},
        kind={"enum": ["a", "b"]},
        pair={"type": "array", "prefixItems": [{"type": "integer"}, {"type": "null"}], "items": False, "minItems": 2},
        words={"type": "object", "additionalProperties": {"type": "boolean"}, "minProperties": 1},
        either={"anyOf": [{"type": "null"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]},
        at={"type": "string", "format": "date-time"},
    )
    misses: list[JsonValue] = []
    schema: Schema = {**params, "required": list[JsonValue](cast("Schema", params["properties"]))}
    with params_model(tmp_path, schema) as model:

        @settings(max_examples=25, database=None)
        @given(documents(schema))
        def look(document: JsonValue) -> None:
            try:
                model.model_validate_json(json.dumps(document))
            except ValueError:
                misses.append(document)

        look()
    assert misses == []


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_has_its_texts(name: str) -> None:
    assert FORMAT_VALUES.keys() >= FORMATS.keys()
    holds({"type": "string", "format": name}, lambda text: isinstance(text, str) and FORMATS[name](text))


def test_what_contains_itself_comes_to_an_end() -> None:
    node = {
        "type": "object",
        "additionalProperties": False,
        "required": ["children"],
        "properties": {
            "children": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
            "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]},
        },
    }
    schema = cast(
        "Schema", {"type": "object", "properties": {"top": {"$ref": "#/$defs/Node"}}, "$defs": {"Node": node}}
    )

    holds(schema, lambda document: isinstance(document, dict) and len(json.dumps(document)) < 20_000)
    deep = find(documents(schema), lambda found: '"next": {' in json.dumps(found), settings=QUICKLY)
    assert json.dumps(deep).count("children") == 2


@pytest.mark.parametrize(
    ("schema", "fits"),
    [
        ({"allOf": [{"type": "integer", "minimum": 1}, {"maximum": 3}]}, lambda value: value in (1, 2, 3)),
        ({"allOf": [{"type": ["integer", "null"]}, {"type": "number"}]}, lambda value: isinstance(value, int)),
        ({"properties": {"a": {"const": 1}}, "required": ["a"]}, lambda value: value["a"] == 1),
        ({"type": "array", "contains": {"const": 7}}, lambda value: 7 in value),
        ({"type": "array", "items": {"type": "boolean"}, "uniqueItems": True}, lambda value: len(value) < 3),
        (
            {"type": "object", "patternProperties": {"^x[0-9]$": {"type": "null"}}, "minProperties": 1},
            lambda value: all(key[0] == "x" and inner is None for key, inner in value.items()) and value,
        ),
        (
            {"type": "object", "required": ["a"], "additionalProperties": {"type": "boolean"}},
            lambda value: isinstance(value["a"], bool),
        ),
        ({"minimum": 0.5, "maximum": 0.75, "type": "number"}, lambda value: 0.5 <= value <= 0.75),
        ({"type": "number", "multipleOf": 0.5, "minimum": 1, "maximum": 2}, lambda value: value in (1, 1.5, 2)),
        ({"anyOf": [{"$ref": "#/$defs/A"}, False], "$defs": {"A": {"const": "a"}}}, lambda value: value == "a"),
    ],
)
def test_schemas_beyond_what_specs_may_say_today_have_values(
    schema: JsonSchema, fits: Callable[[JsonValue], bool]
) -> None:
    holds(schema, fits)


def test_the_smallest_value_is_found_without_search() -> None:
    found = smallest_of("SendEmail", "params", SendEmail.schemas().params, SendEmail.params_model)

    assert found == SendEmail.params_model.model_validate({"to": ["0@a.com"], "subject": "0", "body": "0"})


def test_failures_shrink_to_something_small() -> None:
    found = find(
        params_strategy(SendEmail),
        lambda params: len(params.to) > 1,
        settings=settings(max_examples=100, database=None, phases=[Phase.generate, Phase.shrink]),
    )

    assert found.to == ["0@a.com", "0@a.com"]
    assert (found.cc, found.subject, found.body) == ([], "0", "0")


@pytest.mark.parametrize(
    "schema",
    [
        {"enum": []},
        {
            "$ref": "#/$defs/Endless",
            "$defs": {"Endless": an_object(next={"$ref": "#/$defs/Endless"}) | {"required": ["next"]}},
        },
        {"type": "integer", "minimum": 1, "maximum": 0},
        {"type": "string", "pattern": r"\p{L}"},
    ],
)
def test_where_no_value_can_be_made_that_is_said_at_once(schema: JsonSchema) -> None:
    with pytest.raises(NoValuesError, match="no params of Case can be made"):
        values_of("Case", "params", schema, Anything)


def test_where_nothing_is_let_through_the_reason_of_the_last_one_is_told(tmp_path: Path) -> None:
    schema = an_object(a={"type": "string", "pattern": "^[0-9]+$", "maxLength": 3}) | {"required": ["a"]}
    wider: Schema = {**an_object(a={"type": "string", "minLength": 4}), "required": ["a"]}
    with params_model(tmp_path, schema) as model:
        values = values_of("Case", "params", wider, model)
        with pytest.raises(NoValuesError, match=r"/a: .*st\.builds"):
            find(values, lambda _: True, settings=settings(database=None))
