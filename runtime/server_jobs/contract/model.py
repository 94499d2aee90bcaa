"""The base of generated models. They enforce the spec and keep its JSON names."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from math import ceil, floor
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

from ..domain.tracebacks import HIDDEN
from .pydantic_versions import HAS_EXCLUDE_IF, OMIT_NONE, keep_attribute_names
from .schemas.json_equality import rounded, whole

T = TypeVar("T")


class _Mask:
    def __repr__(self) -> str:
        return HIDDEN


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
    __json_names: ClassVar[Mapping[str, str]] = {}

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
            # Python names are for Python callers. In JSON they are undeclared properties. pydantic 2.11 and
            # 2.12 forget `by_name` in models with a validator around their fields.
            given = _by_json_names(self.__json_names, data) if self.__json_names else data
            self.__pydantic_validator__.validate_python(given, self_instance=self, by_alias=True, by_name=True)

        # Lets pydantic-core fill instances without calling this constructor, as for BaseModel.
        __init__.__pydantic_base_init__ = True

    def __init_subclass__(cls, hidden: tuple[str, ...] = (), **settings: Unpack[ConfigDict]) -> None:
        super().__init_subclass__(**settings)
        cls.__hidden = cls.__hidden.union(hidden)

    @classmethod
    def __pydantic_init_subclass__(cls, **settings: object) -> None:
        super().__pydantic_init_subclass__(**settings)
        fields = cls.__pydantic_fields__.items()
        cls.__json_names = {name: field.alias for name, field in fields if field.alias not in (None, name)}
        if fields:
            # The class was made without its validator, which is built at the first use. A `TypeAdapter` of it must not
            # be: FastAPI hides a warning of pydantic only while it makes one.
            cls.model_config["defer_build"] = False

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        hidden = self.__hidden
        return [(name, _MASK if name in hidden else value) for name, value in super().__repr_args__()]

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[BaseModel], handler: GetCoreSchemaHandler, /) -> CoreSchema:
        schema = handler(source)
        # Changed in place, because a recursive class refers to this schema object.
        model = handler.resolve_ref_schema(schema)
        keep_attribute_names(model)
        fields = cls.__pydantic_fields__
        never_null = frozenset() if HAS_EXCLUDE_IF else _names_of_never_null(fields)
        absent = _names_of_absent(fields, never_null)
        if absent and not cls.__pydantic_decorators__.model_serializers:
            given = partial(_as_given, absent, never_null)
            dump = core_schema.wrap_serializer_function_ser_schema(given, info_arg=True)
            cast("dict[str, Any]", model)["serialization"] = dump
        return schema


def _names_of_never_null(fields: Mapping[str, FieldInfo]) -> frozenset[str]:
    return frozenset(
        name for name, field in fields.items() if any(isinstance(mark, _NeverNullInJson) for mark in field.metadata)
    )


def _names_of_absent(fields: Mapping[str, FieldInfo], never_null: frozenset[str]) -> dict[str, str]:
    """Return the fields that dumps may omit, with their JSON names: nullable ones with the default None, and these."""
    return {
        name: field.serialization_alias or name
        for name, field in fields.items()
        if name in never_null or (field.default is None and getattr(field, "exclude_if", None) is None)
    }


def _as_given(
    absent: Mapping[str, str],
    never_null: frozenset[str],
    model: object,
    handler: SerializerFunctionWrapHandler,
    info: core_schema.SerializationInfo[Any],
) -> object:
    """Return the serialized model without absent attributes."""
    written: object = handler(model)
    if isinstance(model, BaseModel) and isinstance(written, dict):
        # An additional property may have the name of an attribute, which is then still absent.
        extra = model.__pydantic_extra__ or {}
        given = model.__pydantic_fields_set__ - extra.keys()
        if never_null:
            given -= {name for name in never_null if model.__dict__.get(name) is None}
        for name in absent.keys() - given:
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


Omittable = Annotated[T | None, _NeverNullInJson(), OMIT_NONE]
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
    """Makes a `tuple` accept a parsed JSON array, as inside of a checked value or after `keep_attribute_names`."""

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


def _by_json_names(json_names: Mapping[str, str], data: Mapping[str, object]) -> dict[str, object]:
    """Return the arguments of a model by the names of JSON. If both names of a property are given, both stay."""
    return {name if json_names.get(name, name) in data else json_names[name]: data[name] for name in data}
