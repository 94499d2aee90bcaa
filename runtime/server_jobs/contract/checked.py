"""Models with an additional JSON Schema, for constraints that types cannot express."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import Enum
from functools import cache, cached_property
from ipaddress import IPv4Address, IPv6Address
from typing import Any, ClassVar, Self, TypeVar, Unpack
from uuid import UUID

from pydantic import (
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ModelWrapValidatorHandler,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

from .canonical_text import written
from .model import Check, JobModel
from .schemas.checker import Checker, Compiler, Within
from .schemas.run import CheckTooLongError, Violation

T = TypeVar("T")


class CheckedModel(JobModel, Check):
    """A `JobModel` that must also fit a JSON Schema: `class SendEmailParams(CheckedModel, checks="…")`.

    `checks` is the JSON Schema as JSON text. `definitions` has the schemas that it refers to by `#/$defs/…`, as a JSON
    object that several checks can share. JSON input is checked unchanged, before defaults are filled in. A model built
    in Python is checked as its JSON.
    """

    __check: ClassVar[_Check]

    def __init_subclass__(
        cls,
        checks: str = "true",
        definitions: str = "{}",
        hidden: tuple[str, ...] = (),
        **settings: Unpack[ConfigDict],
    ) -> None:
        super().__init_subclass__(hidden, **settings)
        cls.__check = _Check(checks, definitions)

    @model_validator(mode="wrap")
    @classmethod
    def _fits_its_schema(cls, value: object, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo) -> Self:
        return cls.__check(value, handler, info)


@dataclass(frozen=True, slots=True)
class Checked:
    """An annotation: the JSON of the value must fit a schema, given as JSON text, as in `CheckedModel`.

    JSON input is checked unchanged, before defaults are filled in. A value built in Python is checked as its JSON.
    """

    schema: str
    definitions: str = "{}"

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_wrap_validator_function(_Check(self.schema, self.definitions), handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        types, rest = handler(schema), json.loads(self.schema)
        # Definitions have other names in pydantic.
        return {"allOf": [types, rest]} if self.definitions == "{}" else types


@cache
def _compiler(definitions: str) -> Compiler:
    """Return one compiler for all checks that share these definitions, which compiles each of them once."""
    return Compiler(Within({"$defs": json.loads(definitions)}))


class _Check(Check):
    def __init__(self, schema: str, definitions: str) -> None:
        self._schema = schema
        self._definitions = definitions

    def __call__(self, value: object, handler: Callable[[object], T], info: ValidationInfo[Any]) -> T:
        # The types first, because their messages are the clearest.
        validated = handler(value)
        self._check(value if info.mode == "json" else document_of(validated))
        return validated

    @cached_property
    def _checker(self) -> Checker:
        return Checker(json.loads(self._schema), _compiler(self._definitions))

    def _check(self, document: object) -> None:
        try:
            if self._checker.fits(document):
                return
            violations = self._checker.violations(document)
        except CheckTooLongError as error:
            violations = [Violation((), str(error))]
        raise ValidationError.from_exception_data(
            "its JSON Schema", [_detail(violation, document) for violation in violations]
        )


def document_of(value: object) -> object:
    """Return the JSON document of a valid value, without unset defaults."""
    match value:
        case BaseModel():
            return value.model_dump(mode="json", by_alias=True, exclude_unset=True, warnings=False)
        case Mapping():
            return {key: document_of(item) for key, item in value.items()}
        case list() | tuple():
            return [document_of(item) for item in value]
        case Enum():
            return value.value
        case date() | UUID() | IPv4Address() | IPv6Address():
            return written(value)
        case str() | int() | float() | None:
            return value
        case _:
            return str(value)  # a custom type


def _detail(violation: Violation, document: object) -> InitErrorDetails:
    # The message names limits and properties. It never shows a value, which may be redacted.
    error = PydanticCustomError("json_schema", "Input {reason}", {"reason": violation.message})
    return InitErrorDetails(type=error, loc=violation.path, input=_at(document, violation))


def _at(document: object, violation: Violation) -> object:
    for token in violation.path:
        document = document[token]  # type: ignore[index]  # the check found this path
    return document
