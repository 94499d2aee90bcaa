"""A schema and its typed form accept the same values."""

from __future__ import annotations

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydantic import JsonValue
from server_jobs.contract.schemas.checker import Checker
from server_jobs.contract.schemas.run import CheckTooLongError
from server_jobs_generator.ir.typed_form import rest_of
from server_jobs_generator.ir.typed_schema import TypedSchemas

from tests.generator.spec_language import DEFINITIONS, Schema, object_schemas, schemas, values_near


def decision(schema: JsonValue, definitions: Schema, value: JsonValue) -> bool:
    """Return the decision. The lint handles schemas that refer to themselves endlessly."""
    try:
        return Checker({"allOf": [schema], "$defs": definitions}).fits(value)
    except CheckTooLongError:
        assume(False)
        raise


@settings(suppress_health_check=[HealthCheck.filter_too_much])
@given(object_schemas(schemas), st.fixed_dictionaries(dict.fromkeys(DEFINITIONS, schemas)), st.data())
def test_the_typed_form_accepts_the_same_values(params: Schema, definitions: Schema, data: st.DataObject) -> None:
    typed = TypedSchemas(definitions)
    part = typed.part(params)
    forms = [(part, params), *((typed.definitions[name], schema) for name, schema in definitions.items())]
    for form, stated in forms:
        for value in data.draw(st.lists(values_near(stated, definitions), min_size=2, max_size=2)):
            assert decision(form, definitions, value) == decision(stated, definitions, value), (form, value)


def test_properties_of_bases_are_attributes_unless_the_schema_speaks_of_further_ones() -> None:
    base: Schema = {"properties": {"b": {"type": "string"}}, "required": ["b"]}
    typed = TypedSchemas({"Base": base})
    inherits = typed.part({"type": "object", "allOf": [{"$ref": "#/$defs/Base"}]})
    assert (inherits["properties"], inherits["required"]) == (base["properties"], ["b"])
    limits = typed.part({"type": "object", "additionalProperties": {"type": "integer"}, "allOf": [base]})
    assert "properties" not in limits


def test_the_rest_is_in_the_order_of_the_schema() -> None:
    properties: Schema = {name: {"type": "string"} for name in "zyxwvutsrq"}
    typed = TypedSchemas({}).part({"type": "object", "properties": properties, "patternProperties": {"^n": True}})
    rest = rest_of(typed)
    assert isinstance(rest, dict)
    assert isinstance(rest["properties"], dict)
    assert [*rest["properties"]] == [*properties]
