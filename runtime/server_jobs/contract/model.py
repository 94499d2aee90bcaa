"""The base of generated models. They enforce the spec and keep its JSON names."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from math import ceil, floor
from operator import is_
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Literal,
    TypeVar,
    Unpack,
    cast,
    get_args,
    get_origin,
    overload,
)

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    SerializerFunctionWrapHandler,
)
from pydantic.fields import FieldInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticKnownError, core_schema

from .schemas.values import rounded, whole

T = TypeVar("T")


class _Mask:
    def __repr__(self) -> str:
        return HIDDEN


HIDDEN = "•••"
"""The mask of a redacted value."""

_MASK = _Mask()


class JobModel(BaseModel):
    """A part of a job's params or result. Aliases are the JSON names, attributes are in snake case.

    Values are never converted silently. `model_validate_json` accepts JSON names only. The constructor accepts Python
    or JSON names, with values of the declared types. Dumps have JSON names.

    An attribute with the default `None` may be absent: dumps omit it unless null was set. A property with the default
    null has `fresh(lambda: None)`, and is written. A custom serializer overrides this.

    `repr` and `str` mask the attributes and additional properties named in `hidden`.
    """

    __hidden: ClassVar[frozenset[str]] = frozenset()

    # No `validate_default`: the generator checked the defaults, and `None` for an absent value is not in the schema.
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
        # Lets a generated model declare the type of its additional properties.
        __pydantic_extra__: Any = Field(init=False)
    else:

        def __init__(self, /, **data: object) -> None:
            # Python names are for Python callers. In JSON they are undeclared properties.
            self.__pydantic_validator__.validate_python(data, self_instance=self, by_alias=True, by_name=True)

        # Lets pydantic-core fill instances without calling this constructor, as for BaseModel.
        __init__.__pydantic_base_init__ = True

    def __init_subclass__(cls, hidden: tuple[str, ...] = (), **settings: Unpack[ConfigDict]) -> None:
        super().__init_subclass__(**settings)
        cls.__hidden = cls.__hidden.union(hidden)

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        hidden = self.__hidden
        return [(name, _MASK if name in hidden else value) for name, value in super().__repr_args__()]

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[BaseModel], handler: GetCoreSchemaHandler, /) -> CoreSchema:
        schema = handler(source)
        absent = _names_of_absent(cls.__pydantic_fields__)
        if absent and not cls.__pydantic_decorators__.model_serializers:
            dump = core_schema.wrap_serializer_function_ser_schema(partial(_as_given, absent), info_arg=True)
            # In place, because a recursive class refers to this schema object.
            cast("dict[str, Any]", handler.resolve_ref_schema(schema))["serialization"] = dump
        return schema


def _names_of_absent(fields: Mapping[str, FieldInfo]) -> dict[str, str]:
    """Return the nullable fields with the default None, with their JSON names."""
    return {
        name: field.serialization_alias or name
        for name, field in fields.items()
        if field.default is None and field.exclude_if is None
    }


def _as_given(
    absent: Mapping[str, str],
    model: object,
    handler: SerializerFunctionWrapHandler,
    info: core_schema.SerializationInfo[Any],
) -> object:
    """Return the serialized model without absent attributes."""
    written: object = handler(model)
    if isinstance(model, BaseModel) and isinstance(written, dict):
        # An additional property may have the name of an attribute, which is then still absent.
        extra = model.__pydantic_extra__ or {}
        for name in absent.keys() - (model.__pydantic_fields_set__ - extra.keys()):
            key = name if info.by_alias is False else absent[name]
            if name not in extra or written.get(key) is None:
                written.pop(key, None)
    return written


class Check:
    """The mark of models with an additional schema. See `checked`, which is imported only if needed."""


class _NeverNullInJson:
    """Validates JSON with the schema of `T`, and Python values with the schema of `T | None`, at no cost."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        nullable = handler(source)
        if nullable["type"] != "nullable":
            raise TypeError(f"Omittable needs a type that is not nullable itself, not {source}")
        return core_schema.json_or_python_schema(json_schema=nullable["schema"], python_schema=nullable)


Omittable = Annotated[T | None, _NeverNullInJson(), Field(exclude_if=partial(is_, None))]
"""An optional property that is never null. None in Python means absent in JSON; null in JSON is refused."""


@overload
def fresh(make: type[list[Any] | dict[str, Any]]) -> Any: ...  # noqa: ANN401  pyright infers no element type for `list`


@overload
def fresh(make: Callable[[], T]) -> T: ...


def fresh(make: Callable[[], object]) -> object:
    """Return a default that is made for each instance, so that instances share no list."""
    return Field(default_factory=make)


class JsonInteger:
    """Makes an `int` accept `1.0` from JSON, where it equals `1`. Reading `1` costs nothing more."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        integer = handler(source)
        if integer["type"] != "int":
            raise TypeError(f"JsonInteger belongs to an int, not to {source}")
        from_float = core_schema.no_info_plain_validator_function(_integer_of)
        in_json = core_schema.union_schema(
            [integer, core_schema.chain_schema([from_float, integer])],
            mode="left_to_right",
            custom_error_type="integer",
            custom_error_message=f"Input should be a valid integer{_worded(integer)}",
        )
        return core_schema.json_or_python_schema(in_json, integer)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(_parts(schema)["python_schema"])


class JsonNumber:
    """Makes a `float` keep integers: `1` is not written back as `1.0`, and large ones are not rounded."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        number = handler(source)
        if number["type"] != "float":
            raise TypeError(f"JsonNumber belongs to a float, not to {source}")
        limits = _whole_limits(number)
        # An integer just beyond a large limit, rounded to a `float`, would be inside of the limit.
        is_large = any(abs(limit) >= _FIRST_ROUNDED for limit in limits.values())
        fraction = core_schema.no_info_before_validator_function(_not_whole, number) if is_large else number
        return core_schema.union_schema(
            [core_schema.int_schema(**limits), fraction],
            mode="left_to_right",
            custom_error_type="number",
            custom_error_message=f"Input should be a valid number{_worded(number)}",
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(_parts(schema)["choices"][1])


class JsonTuple:
    """Makes a `tuple` accept a parsed JSON array, as inside of a checked value."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        in_python = handler(source)
        return core_schema.json_or_python_schema(cast("CoreSchema", {**in_python, "strict": False}), in_python)


Integer = Annotated[int, JsonInteger()]
"""A JSON number without a fraction, in any notation."""

Number = Annotated[float, JsonNumber()]
"""A JSON number. An integer stays an `int`, which type checkers accept as a `float`."""

_FIRST_ROUNDED = 2**53

_LIMITS = {
    "ge": "greater than or equal to",
    "gt": "greater than",
    "le": "less than or equal to",
    "lt": "less than",
    "multiple_of": "a multiple of",
}


def _parts(schema: CoreSchema) -> Mapping[str, Any]:
    """Return the content of a schema made by one of these marks."""
    return schema


def _worded(schema: Mapping[str, object]) -> str:
    return "".join(f", {words} {json.dumps(schema[key])}" for key, words in _LIMITS.items() if key in schema)


def _whole_limits(number: Mapping[str, Any]) -> dict[str, Any]:
    """Return the limits of a number for its integers: above 1.5 means above 1."""
    rounding = {"ge": ceil, "gt": floor, "le": floor, "lt": ceil}
    return {key: rounded(number[key], round_) for key, round_ in rounding.items() if key in number}


def _not_whole(value: object) -> object:
    if isinstance(value, int):
        raise PydanticKnownError("float_type")
    return value


def _integer_of(value: object) -> int:
    # Integers outside of the limits arrive here too.
    if not isinstance(value, float) or not value.is_integer():
        raise PydanticKnownError("int_type")
    return whole(value)


class Exact:
    """Makes a `Literal` distinguish `1` from `true`, and equal `1` and `1.0`, as in JSON. All are equal in Python."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        values = get_args(source)
        if get_origin(source) is not Literal:
            raise TypeError(f"Exact belongs to a Literal, not to {source}")
        groups = [(kind, [value for value in values if type(value) is kind]) for kind in (bool, str, type(None))]
        integers = [_literal_of(int, group) for group in _by_size([value for value in values if type(value) is int])]
        from_float = core_schema.no_info_plain_validator_function(_integer_of)
        schemas: list[CoreSchema | tuple[CoreSchema, str]] = [_literal_of(*group) for group in groups if group[1]]
        schemas += [*integers, *(core_schema.chain_schema([from_float, integer]) for integer in integers)]
        return core_schema.union_schema(
            schemas,
            mode="left_to_right",
            custom_error_type="exact_literal",
            custom_error_message="Input should be {expected}",
            custom_error_context={"expected": " or ".join(json.dumps(value) for value in values)},
            metadata={"server_jobs_values": list(values)},
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"enum": _parts(schema)["metadata"]["server_jobs_values"]}


def _by_size(values: list[int]) -> list[list[int]]:
    """Separate small and large integers, because a literal with both loses one kind."""
    small = [value for value in values if -(2**63) <= value < 2**63]
    return [group for group in (small, [value for value in values if value not in small]) if group]


def _literal_of(kind: type, values: list[Any]) -> CoreSchema:
    literal = core_schema.literal_schema(values)
    if kind is int:
        return core_schema.chain_schema([core_schema.int_schema(strict=True), literal])
    if kind is bool:
        return core_schema.chain_schema([core_schema.bool_schema(strict=True), literal])
    return literal
