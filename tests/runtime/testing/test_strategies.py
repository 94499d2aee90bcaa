"""Strategies make values that the models accept, for any spec; or they report why not."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest
from hypothesis import HealthCheck, Phase, assume, find, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, JsonValue, RootModel
from server_jobs.contract.formats import FORMATS
from server_jobs.contract.json_schema import Schema as JsonSchema
from server_jobs.testing import params_strategy, result_strategy
from server_jobs.testing.format_values import FORMAT_VALUES
from server_jobs.testing.schema_values import SchemaValues
from server_jobs.testing.strategies import NoValuesError, SearchStrategy, smallest_of, values_of
from server_jobs_generator.models.model_module import render_models

from generated.jobs import DailyDigest, ImportCsv, SendEmail
from tests.generator.spec_language import DEFINITIONS, Schema, object_schemas, schemas
from tests.generator.spec_projects import a_spec, an_object, loaded, params_model, read
from tests.server_jobs_outputs.test_outputs import FEW

QUICKLY = settings(max_examples=10, database=None)


class Anything(RootModel[JsonValue]):
    """A model that accepts every document."""


def documents(schema: JsonSchema) -> SearchStrategy[JsonValue]:
    return SchemaValues(schema).of(schema)


def holds(schema: JsonSchema, holds_for: Callable[[JsonValue], bool]) -> None:
    """Check each document made from a schema."""

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
        assert job.new_jobs([params], "batch")
        assert isinstance(result, job.result_model)

    look()


@settings(
    max_examples=FEW,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
@given(object_schemas(schemas), st.fixed_dictionaries(dict.fromkeys(DEFINITIONS, schemas)), st.data())
def test_every_value_drawn_for_a_spec_fits_its_model(params: Schema, definitions: Schema, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        specs = read(Path(folder), {"case.json": a_spec(params, **{"$defs": definitions})})
    assume(not specs.problems)
    with loaded(render_models(specs.jobs[0])) as module:
        model = cast("type[BaseModel]", module.CaseParams)
        try:
            value = data.draw(values_of("Case", "params", specs.jobs[0].params, model))
        except NoValuesError:
            return
        # Pydantic warns about unions that it writes correctly. The engine suppresses the warning too.
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


def some(kind: str, **keywords: object) -> dict[str, object]:
    """Return a schema of that type."""
    return {"type": kind, **keywords}


TREE = {"anyOf": [some("integer"), {**an_object(left={"$ref": "#/$defs/Tree"}), "required": ["left"]}]}
UUID_4 = "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
LIST_OF_ONE = some("array", items=some("integer"), minItems=1)
KINDS = an_object(kind={"enum": ["a", "b"]}, n=some("integer"), s=some("string"))
HARD: list[dict[str, object]] = [
    some("string", format="email", pattern="@example\\.com$"),
    some("string", format="date", pattern="^2026-"),
    some("string", format="date-time", pattern="Z$", maxLength=20),
    some("string", format="uuid", pattern=UUID_4),
    some("string", format="uri", pattern="^s3://[a-z]+/"),
    some("string", format="uri", minLength=100),
    some("string", format="email", maxLength=6),
    some("string", format="ipv4", pattern="^10\\."),
    some("string", format="byte", minLength=8, maxLength=8),
    some("string", pattern="^\\p{Lu}\\p{Ll}+$", minLength=5, maxLength=9),
    some("string", pattern="^\\p{Script=Greek}+$"),
    some("string", pattern="^[[a&&b]$"),
    some("string", pattern="\\bor\\b", minLength=6),
    some("string", pattern="^[A-Z]{2}(?:-[0-9]+)*$", minLength=20, maxLength=20),
    some("string", pattern="[0-9]", minLength=200),
    some("string", pattern="^(?:a{30})*$", minLength=31),
    some("string", allOf=[{"pattern": "^a"}, {"pattern": "z$"}, {"minLength": 5}]),
    some("string", contentEncoding="base64", minLength=5, maxLength=9),
    some("string", contentEncoding="base64", pattern="==$"),
    some("string", contentEncoding="base64", contentMediaType="application/json", contentSchema=LIST_OF_ONE),
    some("string", **{"if": {"pattern": "^a"}, "then": {"pattern": "z$"}}),
    some("integer", multipleOf=1.5),
    some("integer", allOf=[{"multipleOf": 4}, {"multipleOf": 6}], minimum=1),
    some("number", multipleOf=0.01),
    some("number", multipleOf=0.1, minimum=0.3, maximum=0.3),
    some("number", exclusiveMinimum=1, exclusiveMaximum=2, multipleOf=0.25),
    some("array", items=some("integer"), contains={"minimum": 5}, minContains=2, maxContains=3),
    some("array", items={"enum": ["a", "b", "c"]}, uniqueItems=True, minItems=3),
    some("array", prefixItems=[some("string"), some("integer")], items=some("boolean"), minItems=1, maxItems=1),
    some("array", prefixItems=[some("string")], contains=some("integer"), unevaluatedItems=False),
    {**an_object(a=some("null"), never=some("string", **{"not": True}))},
    {**an_object(a=some("null"), b=some("null"), c=some("null")), "maxProperties": 1},
    {**an_object(a=some("null"), b=some("null"), c=some("null")), "minProperties": 3},
    some("object", additionalProperties=True, propertyNames={"pattern": "^[a-z]{2}$"}, minProperties=2),
    some("object", patternProperties={"^x": some("null"), "^n": some("integer")}, additionalProperties=False),
    some("object", properties={"xa": some("integer")}, patternProperties={"^x": {"minimum": 5}}, required=["xa"]),
    {**KINDS, "if": {"properties": {"kind": {"const": "a"}}}, "then": {"required": ["n"]}, "else": {"required": ["s"]}},
    {**KINDS, "oneOf": [{"required": ["n"]}, {"required": ["s"]}], "dependentRequired": {"n": ["kind"]}},
    {"allOf": [some("object", properties={"a": True}, required=["a"])], "unevaluatedProperties": False},
    {"oneOf": [some("integer", multipleOf=2), some("integer", multipleOf=3)]},
    {"allOf": [{"enum": ["a", "bb"]}, {"minLength": 2}]},
    {"type": ["string", "integer"], "not": {"minimum": 3}},
    some("array", items={"$ref": "#/$defs/Tree"}, minItems=2, uniqueItems=True),
]


@pytest.fixture(scope="module")
def hard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[type[BaseModel], dict[str, JsonValue]]]:
    """Yield a model with a property for each of these schemas, and their definitions."""
    params, definitions = an_object(**{f"p{n}": schema for n, schema in enumerate(HARD)}), {"Tree": TREE}
    spec = a_spec(params, **{"$defs": definitions})
    specs = read(tmp_path_factory.mktemp("hard"), {"case.json": spec})
    with loaded(render_models(specs.jobs[0])) as module:
        yield module.CaseParams, cast("dict[str, JsonValue]", definitions)


@pytest.mark.parametrize("number", range(len(HARD)), ids=lambda number: json.dumps(HARD[number])[:80])
def test_combined_constraints_are_generated_together(
    hard: tuple[type[BaseModel], dict[str, JsonValue]], number: int
) -> None:
    model, definitions = hard
    schema: JsonSchema = {**an_object(**{f"p{number}": HARD[number]}), "required": [f"p{number}"], "$defs": definitions}

    @settings(QUICKLY, derandomize=True)
    @given(values_of("Case", "params", schema, model))
    def look(params: BaseModel) -> None:
        assert params.model_fields_set == {f"p{number}"}

    look()


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_has_its_texts(name: str) -> None:
    assert FORMAT_VALUES.keys() >= FORMATS.keys()
    holds({"type": "string", "format": name}, lambda text: isinstance(text, str) and FORMATS[name](text))


def test_a_recursive_value_comes_to_an_end() -> None:
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
            {
                "type": "object",
                "patternProperties": {"^x[0-9]$": {"type": "null"}},
                "minProperties": 1,
                "additionalProperties": False,
            },
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
def test_unsupported_schemas_have_values(schema: JsonSchema, fits: Callable[[JsonValue], bool]) -> None:
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
        {"type": "number", "exclusiveMinimum": 1, "exclusiveMaximum": 1.0000000000000002},
        {"type": "string", "pattern": "^(ab)+$", "minLength": 3, "maxLength": 3},
    ],
)
def test_a_schema_without_values_is_reported_at_once(schema: JsonSchema) -> None:
    with pytest.raises(NoValuesError, match="no params of Case can be made"):
        values_of("Case", "params", schema, Anything)


def test_the_property_that_has_no_value_is_named() -> None:
    never: JsonValue = {"type": "string", "pattern": "^a$", "minLength": 2}
    schema: Schema = {**an_object(items={"type": "array", "items": never, "minItems": 1}), "required": ["items"]}

    with pytest.raises(NoValuesError, match=r"of the property /items/0, because nothing.*st\.builds\(Anything"):
        values_of("Case", "params", schema, Anything)
    with pytest.raises(NoValuesError, match=r"no result of Case can be made.*/items/0.*`result=Anything\(\.\.\.\)`"):
        smallest_of("Case", "result", schema, Anything)


def test_a_fake_without_valid_candidates_gives_advice() -> None:
    schema: Schema = {**an_object(), "not": an_object()}
    with pytest.raises(NoValuesError, match=r"no result of Case was found.*`result=Anything\(\.\.\.\)`"):
        smallest_of("Case", "result", schema, Anything)


def test_a_property_whose_schema_refuses_all_that_is_made_for_it_is_named() -> None:
    odd: JsonValue = {"type": "integer", "not": {"multipleOf": 1}}
    schema: Schema = {**an_object(a=an_object(odd=odd) | {"required": ["odd"]}), "required": ["a"]}
    with pytest.raises(NoValuesError, match="no params of Case was found: no value of the property /a/odd, "):
        find(values_of("Case", "params", schema, Anything), lambda _: True, settings=settings(database=None))


def test_without_a_valid_value_the_last_reason_is_reported(tmp_path: Path) -> None:
    schema = an_object(a={"type": "string", "pattern": "^[0-9]+$", "maxLength": 3}) | {"required": ["a"]}
    wider: Schema = {**an_object(a={"type": "string", "minLength": 4}), "required": ["a"]}
    with params_model(tmp_path, schema) as model:
        values = values_of("Case", "params", wider, model)
        with pytest.raises(NoValuesError, match=r"no value of the property /a, .*at most 3.*st\.builds"):
            find(values, lambda _: True, settings=settings(database=None))
