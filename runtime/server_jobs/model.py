"""The base of generated models: what they enforce is what the spec says, and JSON names stay as written."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from operator import is_
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_args, get_origin, overload

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

T = TypeVar("T")


class JobModel(BaseModel):
    """A part of a job's params or result. JSON names are aliases, Python names are snake case.

    Nothing is converted silently: JSON text is taken by `model_validate_json`, which knows only the JSON names, and the
    constructor takes the Python names (or the JSON names) with values of the declared types. Dumps have JSON names.
    """

    # No `validate_default`: generated defaults have been checked against their schema, and an omitted `None` is none.
    model_config = ConfigDict(
        strict=True,
        allow_inf_nan=False,
        validate_by_alias=True,
        validate_by_name=False,
        serialize_by_alias=True,
        protected_namespaces=(),
        defer_build=True,
    )

    if TYPE_CHECKING:
        # So that a generated model may declare the type of its additional properties.
        __pydantic_extra__: Any = Field(init=False)
    else:

        def __init__(self, /, **data: object) -> None:
            # Python names are for Python callers only: in a JSON document they would be undeclared properties.
            self.__pydantic_validator__.validate_python(data, self_instance=self, by_alias=True, by_name=True)

        # Lets pydantic-core fill instances itself, as it does for BaseModel, instead of calling this constructor.
        __init__.__pydantic_base_init__ = True


class _NeverNullInJson:
    """Reads JSON with the schema of `T` where Python is read with that of `T | None`: no cost for a value."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        nullable = handler(source)
        if nullable["type"] != "nullable":
            raise TypeError(f"Omittable needs a type that is not nullable itself, not {source}")
        return core_schema.json_or_python_schema(json_schema=nullable["schema"], python_schema=nullable)


Omittable = Annotated[T | None, _NeverNullInJson(), Field(exclude_if=partial(is_, None))]
"""An optional property that is never null: None in Python, left out of the JSON document, null in JSON is refused."""


@overload
def fresh(make: type[list[Any] | dict[str, Any]]) -> Any: ...  # noqa: ANN401  pyright knows nothing of `list`'s elements


@overload
def fresh(make: Callable[[], T]) -> T: ...


def fresh(make: Callable[[], object]) -> object:
    """A default that is made anew for each instance, so that no two share a list."""
    return Field(default_factory=make)


def is_exact(value: object) -> bool:
    """Whether a double-precision number holds the value as it is; what is no integer has been rounded already."""
    if not isinstance(value, int) or -(2**53) <= value <= 2**53:
        return True
    try:
        return int(float(value)) == value
    except OverflowError:
        return False


class _NeverRounded:
    """Refuses the integers that a `float` would round: JSON does not tell the two apart, and nobody would notice."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(_exact, handler(source))


def _exact(value: object) -> object:
    if not is_exact(value):
        raise PydanticCustomError("exact_number", "Input should be a number that double precision holds exactly")
    return value


Number = Annotated[float, _NeverRounded()]
"""A JSON number: a whole one that a `float` does not hold exactly, such as 2**53 + 1, is refused."""


class Exact:
    """Makes a `Literal` tell `1`, `1.0` and `true` apart, as JSON does; without it pydantic compares as Python does."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        values = get_args(source)
        if get_origin(source) is not Literal:
            raise TypeError(f"Exact belongs to a Literal, not to {source}")
        kinds = (bool, int, str, type(None))
        groups = [(kind, [value for value in values if type(value) is kind and not _is_huge(value)]) for kind in kinds]
        groups.append((int, [value for value in values if _is_huge(value)]))
        schemas = [_literal_of(*group) for group in groups]
        return core_schema.union_schema(
            [schema for schema in schemas if schema is not None],
            mode="left_to_right",
            custom_error_type="exact_literal",
            custom_error_message="Input should be {expected}",
            custom_error_context={"expected": " or ".join(json.dumps(value) for value in values)},
        )


def _is_huge(value: object) -> bool:
    """Whether pydantic keeps a value apart from small integers: a literal of both loses one kind."""
    return isinstance(value, int) and not -(2**63) <= value < 2**63


def _literal_of(kind: type, values: list[Any]) -> CoreSchema | None:
    if not values:
        return None
    literal = core_schema.literal_schema(values)
    if kind is int:
        return core_schema.chain_schema([core_schema.int_schema(strict=True), literal])
    if kind is bool:
        return core_schema.chain_schema([core_schema.bool_schema(strict=True), literal])
    return literal
