"""Workarounds for older versions of pydantic."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial
from operator import is_
from typing import Any, cast

from pydantic import Field
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, SchemaValidator, ValidationError, core_schema

HAS_EXCLUDE_IF = hasattr(FieldInfo, "exclude_if")
"""False before pydantic 2.12. `JobModel` omits the attributes itself there."""

# A type checker takes it for a default value, unless the type is Any.
OMIT_NONE: Any = Field(exclude_if=partial(is_, None)) if HAS_EXCLUDE_IF else Field()


def keep_attribute_names(model: CoreSchema) -> None:
    """Change the schema of a model in place, so that JSON keys named like an attribute are undeclared properties.

    pydantic 2.13.0 to 2.14.1 drop such a key of a JSON text if the attribute has another JSON name. They drop no key
    of a dict, so the schema turns JSON objects into dicts there.
    """
    if model["type"] == "model" and _has_aliases(model["schema"]) and drops_attribute_names():
        converting = core_schema.no_info_before_validator_function(_unchanged, model["schema"])
        cast("dict[str, Any]", model)["schema"] = converting


@cache
def drops_attribute_names() -> bool:
    """Whether this version of pydantic accepts an undeclared JSON key that is the name of an attribute."""
    fields = {"attribute": core_schema.model_field(core_schema.any_schema(), validation_alias="name")}
    validator = SchemaValidator(core_schema.model_fields_schema(fields, extra_behavior="forbid"))
    try:
        validator.validate_json('{"name": 1, "attribute": 2}')
    except ValidationError:
        return False
    return True


def _has_aliases(schema: Mapping[str, Any]) -> bool:
    # A schema with a validator of the user around its fields converts JSON objects already.
    return schema["type"] == "model-fields" and any("validation_alias" in field for field in schema["fields"].values())


def _unchanged(value: object) -> object:
    return value
