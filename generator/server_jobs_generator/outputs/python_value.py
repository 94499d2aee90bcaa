"""JSON values as Python text."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from ..models.default_value import plain_value
from ..python.code import Code, Expression, Group, literal


def python_value(value: JsonValue | Mapping[str, JsonValue]) -> Expression:
    """The expression of a JSON value: lists, dicts, and what stands in them."""
    match value:
        case list():
            return Group("[", tuple(("", python_value(item)) for item in value), "]")
        case Mapping():
            return Group("{", tuple((f"{literal(key)}: ", python_value(inner)) for key, inner in value.items()), "}")
        case _:
            return Code(plain_value(value))
