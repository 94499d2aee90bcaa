"""The properties of params and result that a view can show."""

from __future__ import annotations

from collections.abc import Iterable

from .column_types import ColumnType, Schema, column_type, properties_of

PARTS = ("params", "result")


def typed_properties(schema: Schema) -> dict[str, ColumnType]:
    """The properties of a self-contained schema of params or result, with the types of their columns."""
    definitions = schema.get("$defs")
    known = definitions if isinstance(definitions, dict) else {}
    return {name: column_type(value, known) for name, value in properties_of(dict(schema), known).items()}


def redacted_properties(redact: Iterable[str]) -> frozenset[str] | None:
    """The properties of params that hold something redacted; None when all of params is."""
    pointers = list(redact)
    if "" in pointers:
        return None
    return frozenset(pointer.split("/")[1].replace("~1", "/").replace("~0", "~") for pointer in pointers)
