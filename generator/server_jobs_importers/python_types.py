"""JSON Schema of Python types, made by Pydantic, with a list of the parts that JSON Schema cannot express."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from pydantic import (
    ConfigDict,
    JsonValue,
    PydanticUserError,
    TypeAdapter,
    create_model,
)
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, JsonSchemaWarningKind
from pydantic_core import PydanticOmit, PydanticSerializationError, core_schema
from server_jobs_generator.read.keywords import ONE_SCHEMA, SCHEMA_LIST, SCHEMA_MAP

from .found_job import ANY_ERROR, VALUE, Decision, FoundJob, FoundPart, ImportSourceError, LeftOut, reason, wrapped
from .secrets import Core, Secrets

AnyCoreSchema = (
    core_schema.CoreSchema
    | core_schema.ModelField
    | core_schema.DataclassField
    | core_schema.TypedDictField
    | core_schema.ComputedField
)
Mode = Literal["validation", "serialization"]

_FUNCTION = "JSON Schema cannot express a function"
_CHECK = "check it in the handler, or write the rule as keywords into the spec"
_LIMITS = frozenset({"ge", "gt", "le", "lt", "multiple_of"})
_CONSTRAINTS = _LIMITS | {
    *("now_op", "tz_constraint", "version", "allowed_schemes", "host_required", "max_digits", "decimal_places"),
    *("custom_init", "post_init"),
}
# Modules of Pydantic whose functions check what an annotation says, instead of a type of its own.
_OF_ANNOTATIONS = ("_known_annotated_metadata", "._validators")
_SET_DEFAULT = "set the value in the handler if the property is left out"
_EMPTY: Mapping[object, object] = {list: [], dict: {}, set: [], frozenset: [], tuple: []}
_ORDER = ("title", "description", "type", "additionalProperties", "required", "(others)", "properties", "$defs")
# Annotations of Pydantic. The branches of a union tell themselves apart.
_DROPPED = (("format", "path"), ("format", "file-path"), ("format", "directory-path"))
_OPEN = "the type ignores properties that it does not name, and the spec stores them"


@dataclass(frozen=True, slots=True)
class PythonType:
    """A type that Pydantic validates and writes."""

    adapter: TypeAdapter[object]

    def decide(self, value: JsonValue) -> Decision:
        """Return what Pydantic does with a JSON value."""
        text = json.dumps(value)
        for is_strict, decision in ((True, Decision.ACCEPTS), (None, Decision.CONVERTS)):
            if self._accepts(text, is_strict=is_strict):
                return decision
        return Decision.REFUSES

    def _accepts(self, text: str, *, is_strict: bool | None) -> bool:
        try:
            self.adapter.validate_json(text, strict=is_strict)
        except ANY_ERROR:  # which refuses the value
            return False
        return True

    def written(self, value: JsonValue) -> JsonValue:
        """Return the JSON that Pydantic writes for a value that it read. Raises `ValueError` if it refuses it."""
        try:
            read = self.adapter.validate_json(json.dumps(value))
            return cast("JsonValue", json.loads(self.adapter.dump_json(read, by_alias=True, warnings=False)))
        except ANY_ERROR as error:
            raise ValueError(type(error).__name__) from error


@dataclass(frozen=True, slots=True)
class TypeSchema:
    """The schema of a type as params or as a result, and the parts that it lacks."""

    part: FoundPart
    left_out: tuple[LeftOut, ...]


def type_schema(type_: object, mode: Mode, place: str) -> TypeSchema:
    """Return the schema of a type for the values that it reads (`validation`) or writes (`serialization`).

    A type whose values are no objects becomes an object with the property `value`. Raises `ImportSourceError` for a
    type without a schema, and for a result with a secret.
    """
    adapter = _adapter(type_, place)
    secrets = Secrets(cast("Core", adapter.core_schema))
    if mode == "serialization" and secrets.are_written:
        raise ImportSourceError(f"{place} has a secret, and everyone who may read the job sees its result")
    reader = _Reader(by_alias=True, place=place, secrets=secrets)
    schema = reader.read(adapter, mode)
    if _is_object(schema, schema):
        redacted = secrets.pointers(schema) if mode == "validation" else ()
        return TypeSchema(FoundPart(schema, PythonType(adapter), redacted), tuple(reader.left_out))
    fields: dict[str, Any] = {VALUE: (type_, ...)}
    config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
    wrapper = create_model("Value", __config__=config, **fields)
    inner = type_schema(wrapper, mode, place)
    return TypeSchema(inner.part, (wrapped(place, schema), *inner.left_out))


def with_result(job: FoundJob, type_: object, place: str) -> FoundJob:
    """Return the job with a type as its result. A type that cannot be one is listed."""
    try:
        result = type_schema(type_, "serialization", place)
    except ANY_ERROR as error:
        lost = LeftOut(place, "result", reason(error), "return plain data, or nothing")
        return replace(job, left_out=(*job.left_out, lost))
    return replace(job, result=result.part, left_out=(*job.left_out, *result.left_out))


def has_secrets(type_: object) -> bool:
    """Return whether a value of a type may be, or contain, a secret. Raises `ImportSourceError`."""
    return Secrets(cast("Core", _adapter(type_, str(type_)).core_schema)).are_written


def _adapter(type_: object, place: str) -> TypeAdapter[object]:
    try:
        adapter = TypeAdapter(cast("type[object]", type_))
        adapter.rebuild()  # raises an error that names a type that does not exist
    except PydanticUserError as error:
        if error.code != "schema-for-unknown-type":
            raise ImportSourceError(f"{place} cannot be read by Pydantic: {error.message}") from error
    # A class without a schema is read as `isinstance`, which the reader lists.
    except ANY_ERROR as error:
        raise ImportSourceError(f"{place} cannot be read by Pydantic: {reason(error)}") from error
    else:
        return adapter
    try:
        return TypeAdapter(cast("type[object]", type_), config=ConfigDict(arbitrary_types_allowed=True))
    except ANY_ERROR as error:
        raise ImportSourceError(f"{place} cannot be read by Pydantic: {reason(error)}") from error


def _is_object(schema: JsonValue, root: Mapping[str, JsonValue]) -> bool:
    if not isinstance(schema, dict):
        return False
    if isinstance(reference := schema.get("$ref"), str):
        definitions = root.get("$defs")
        name = reference.rpartition("/")[2]
        return isinstance(definitions, dict) and _is_object(definitions.get(name), root)
    branches = schema.get("anyOf") or schema.get("oneOf")
    if isinstance(branches, list):
        return all(_is_object(branch, root) for branch in branches)
    return schema.get("type") == "object"


class _Reader(GenerateJsonSchema):
    """Pydantic's generator. It lists the fields, validators and defaults that the schema lacks."""

    def __init__(self, by_alias: bool, place: str, secrets: Secrets) -> None:
        super().__init__(by_alias=by_alias)
        self.left_out: list[LeftOut] = []
        self._place = place
        self._secrets = secrets
        self._fields: list[str] = []
        self._names: dict[int, str] = {}

    def read(self, adapter: TypeAdapter[object], mode: Mode) -> dict[str, JsonValue]:
        """Return the schema of a type. Raises `ImportSourceError` if it has none."""
        try:
            schema = cast("dict[str, JsonValue]", self.generate(adapter.core_schema, mode=mode))
        except PydanticOmit:
            found = self.left_out[-1].what if self.left_out else "its type"
            raise ImportSourceError(
                f"{self._place} has no JSON Schema ({found}); give the type a schema with Pydantic's WithJsonSchema"
            ) from None
        except ANY_ERROR as error:
            raise ImportSourceError(f"{self._place} cannot be read by Pydantic: {reason(error)}") from error
        # The name of the class is the name of the job, or the key of the definition.
        schema.pop("title", None)
        is_open, schema = _tidy(schema, is_closed=mode == "serialization")
        if is_open:
            advice = "set additionalProperties to false in the spec to refuse them"
            self._leave_out("extra properties", _OPEN, advice)
        return schema

    def generate_inner(self, schema: AnyCoreSchema) -> JsonSchemaValue:
        """Return the schema of a part, and list its constraints for which JSON Schema has no keyword."""
        if self.mode == "validation":
            inner = schema.get("schema")
            is_url = isinstance(inner, dict) and inner["type"] in (
                "url",
                "multi-host-url",
            )  # Pydantic does not visit it
            for one in (schema, inner) if is_url else (schema,):
                self._check_constraints(cast("Core", one))
        found = super().generate_inner(schema)
        is_value = self.mode == "validation" and not schema["type"].endswith("-field")
        if is_value and ("format", found.get("format")) in _DROPPED[1:]:
            self._leave_out(f"format {found['format']}", "a spec looks at no files", _CHECK)
        return found

    def _check_constraints(self, schema: Core) -> None:
        known = _LIMITS if schema["type"] in ("int", "float") else frozenset[str]()
        for name in sorted((_CONSTRAINTS - known) & schema.keys()):
            if schema[name]:
                stated = getattr(schema[name], "isoformat", lambda value=schema[name]: value)()
                self._leave_out(f"{name}={stated}", "JSON Schema has no keyword for it", _CHECK)

    def field_title_should_be_set(self, schema: AnyCoreSchema) -> bool:
        del schema
        return False

    def handle_invalid_for_json_schema(self, schema: AnyCoreSchema, error_info: str) -> JsonSchemaValue:
        del error_info
        advice = "pass an id or plain data instead, or give the type a schema with Pydantic's WithJsonSchema"
        name = getattr(schema.get("cls"), "__qualname__", schema["type"])
        self._leave_out(f"type {name}", "it has no JSON Schema", advice)
        raise PydanticOmit

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Return the schema with its default. A function that makes it is listed, and a default with a secret."""
        factory, default = schema.get("default_factory"), schema.get("default")
        if isinstance(factory, type) and factory in _EMPTY:
            return super().default_schema(core_schema.with_default_schema(schema["schema"], default=_EMPTY[factory]))
        if factory is not None and self.mode == "validation":
            name = getattr(factory, "__qualname__", type(factory).__name__)
            self._leave_out(f"default_factory {name}", _FUNCTION, _SET_DEFAULT)
        elif not _is_empty(default) and self.mode == "validation" and self._secrets.has(cast("Core", schema)):
            self._leave_out("default", "it has a secret", _SET_DEFAULT)
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)

    def encode_default(self, dft: object) -> object:
        """Return a default as JSON. Anything may be a default, and may raise anything."""
        try:
            encoded = super().encode_default(dft)
            json.dumps(encoded, allow_nan=False)
        except ANY_ERROR as error:
            raise PydanticSerializationError(f"{type(error).__name__} instead of JSON") from error
        return encoded

    def union_schema(self, schema: core_schema.UnionSchema) -> JsonSchemaValue:
        """Return the schema of a union. Pydantic returns one without branches if no type of it has a schema."""
        found = super().union_schema(schema)
        if found.get("anyOf") == []:
            raise PydanticOmit
        return found

    def emit_warning(self, kind: JsonSchemaWarningKind, detail: str) -> None:
        del detail
        if kind == "non-serializable-default":
            self._leave_out("default", "it is no JSON", _SET_DEFAULT)

    def model_fields_schema(self, schema: core_schema.ModelFieldsSchema) -> JsonSchemaValue:
        self._names.update((id(one), _json_name(name, one)) for name, one in schema["fields"].items())
        return super().model_fields_schema(schema)

    def typed_dict_schema(self, schema: core_schema.TypedDictSchema) -> JsonSchemaValue:
        self._names.update((id(one), _json_name(name, one)) for name, one in schema["fields"].items())
        return super().typed_dict_schema(schema)

    def dataclass_args_schema(self, schema: core_schema.DataclassArgsSchema) -> JsonSchemaValue:
        self._names.update((id(one), _json_name(one["name"], one)) for one in schema["fields"])
        return super().dataclass_args_schema(schema)

    def model_field_schema(self, schema: core_schema.ModelField) -> JsonSchemaValue:
        with self._inside(schema):
            return super().model_field_schema(schema)

    def typed_dict_field_schema(self, schema: core_schema.TypedDictField) -> JsonSchemaValue:
        with self._inside(schema):
            return super().typed_dict_field_schema(schema)

    def dataclass_field_schema(self, schema: core_schema.DataclassField) -> JsonSchemaValue:
        with self._inside(schema):
            return super().dataclass_field_schema(schema)

    def function_before_schema(self, schema: core_schema.BeforeValidatorFunctionSchema) -> JsonSchemaValue:
        self._check_function(schema["function"]["function"])
        return super().function_before_schema(schema)

    def function_after_schema(self, schema: core_schema.AfterValidatorFunctionSchema) -> JsonSchemaValue:
        self._check_function(schema["function"]["function"])
        return super().function_after_schema(schema)

    def function_wrap_schema(self, schema: core_schema.WrapValidatorFunctionSchema) -> JsonSchemaValue:
        self._check_function(schema["function"]["function"])
        return super().function_wrap_schema(schema)

    def function_plain_schema(self, schema: core_schema.PlainValidatorFunctionSchema) -> JsonSchemaValue:
        self._check_function(schema["function"]["function"])
        return super().function_plain_schema(schema)

    @contextmanager
    def _inside(self, schema: Mapping[str, object]) -> Iterator[None]:
        """Keep the name of the field for the places of parts that are left out, and list its other names."""
        self._fields.append(self._names.get(id(schema), "?"))
        try:
            if self.mode == "validation" and isinstance(schema.get("validation_alias"), list):
                self._leave_out("other aliases", "a property has one name", "use the name in the spec")
            yield
        finally:
            self._fields.pop()

    def _check_function(self, function: object) -> None:
        """List a function of the application. Pydantic uses functions for its own types too."""
        function = getattr(function, "func", function)  # of a partial
        module = str(getattr(function, "__module__", ""))
        is_ours = module.partition(".")[0] in ("pydantic", "pydantic_core") and not module.endswith(_OF_ANNOTATIONS)
        if self.mode == "validation" and not is_ours:
            name = str(getattr(function, "__name__", type(function).__name__))
            name = "predicate" if module.endswith("_known_annotated_metadata") else f"validator {name}"
            self._leave_out(name, _FUNCTION, _CHECK)

    def _leave_out(self, what: str, why: str, advice: str) -> None:
        path = ".".join(self._fields)
        lost = LeftOut(f"{self._place}{path and f'({path})'}", what, why, advice)
        if lost not in self.left_out:
            self.left_out.append(lost)


def _is_empty(default: object) -> bool:
    return default is None or (isinstance(default, list | dict | set | frozenset | tuple) and not default)


def _json_name(name: str, schema: Mapping[str, object]) -> str:
    alias = schema.get("validation_alias")
    return alias if isinstance(alias, str) else name


def _tidy(schema: dict[str, JsonValue], *, is_closed: bool) -> tuple[bool, dict[str, JsonValue]]:
    """Return whether an object ignores further properties, and the schema with its keywords in the usual order.

    A type that says nothing about further properties ignores them when it reads, and never writes any.
    """
    is_open = False

    def visited(value: JsonValue) -> JsonValue:
        nonlocal is_open
        if not isinstance(value, dict):
            return value
        stated = {key: inner for key, inner in value.items() if (key, inner) not in _DROPPED and key != "discriminator"}
        if "properties" in stated and "additionalProperties" not in stated:
            stated["additionalProperties"] = not is_closed
            is_open |= not is_closed
        return {key: _visited_member(key, stated[key], visited) for key in sorted(stated, key=_rank)}

    tidy = cast("dict[str, JsonValue]", visited(schema))
    return is_open, tidy


def _visited_member(key: str, value: JsonValue, visit: Callable[[JsonValue], JsonValue]) -> JsonValue:
    if key in ONE_SCHEMA:
        return visit(value)
    if key in SCHEMA_LIST and isinstance(value, list):
        return [visit(one) for one in value]
    if key in SCHEMA_MAP and isinstance(value, dict):
        return {name: visit(one) for name, one in value.items()}
    return value


def _rank(key: str) -> int:
    return _ORDER.index(key) if key in _ORDER else _ORDER.index("properties") - 1
