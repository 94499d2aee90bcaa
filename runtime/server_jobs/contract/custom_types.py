"""Classes of the application in generated models, for its formats."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, PydanticSerializationUnexpectedValue, core_schema

from ..errors import ProjectError


@dataclass(frozen=True, slots=True)
class CustomType:
    """An annotation of a class: a text in JSON, a value of the class in Python.

    The class is called with the text, and raises `ValueError`, `TypeError` or `ArithmeticError` for a text that it
    refuses. A value is written as `str(value)`, and a member of an enum as its value.

    `values` are the texts that the spec allows, if it lists them. Raises `ProjectError` if the class is an enum with
    other values.
    """

    kind: type[object]
    format: str
    values: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.values or not issubclass(self.kind, Enum):
            return
        members = [member.value for member in self.kind]
        if {*members} != {*self.values}:
            raise ProjectError(
                f"{self.kind.__module__}:{self.kind.__qualname__} has the values {members}, and the spec lists "
                f"{[*self.values]} for the format {self.format!r}; make them equal"
            )

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        text = core_schema.no_info_after_validator_function(self._read, core_schema.str_schema())
        writes = core_schema.plain_serializer_function_ser_schema(
            self._written, return_schema=core_schema.str_schema(), when_used="json"
        )
        return core_schema.json_or_python_schema(text, core_schema.is_instance_schema(self.kind), serialization=writes)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "format": self.format}

    def _read(self, text: str) -> object:
        try:
            return self.kind(text)  # type: ignore[call-arg]  # a class that takes a text
        except (ValueError, TypeError, ArithmeticError) as error:
            # The message of the class may contain the text, which may be redacted.
            raise PydanticCustomError(
                "custom_type", "Input should be {expected}", {"expected": self._expected}
            ) from error

    def _written(self, value: object) -> str:
        if not isinstance(value, self.kind):
            raise PydanticSerializationUnexpectedValue(f"not a value of the format {self.format}")
        return str(value.value if isinstance(value, Enum) else value)

    @property
    def _expected(self) -> str:
        return " or ".join(map(json.dumps, self.values)) if self.values else f"of the format {self.format}"
