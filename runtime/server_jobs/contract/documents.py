"""Params and results: validated models on one side, JSON text of a row on the other."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from itertools import chain
from typing import TypeVar, cast, get_args, get_origin

from pydantic import BaseModel, PlainSerializer, SecretBytes, SecretStr, ValidationError, WrapSerializer
from pydantic_core import ErrorDetails, PydanticSerializationError
from pydantic_core.core_schema import ErrorType

from ..domain.tracebacks import HIDDEN, Mask
from ..errors import MOST_PROBLEMS, InvalidDocumentError, InvalidParamsError, InvalidResultError, Problem
from .job_keys import is_redacted
from .masking import masking
from .model import Check
from .values import Kinds, at_pointer, check, encode, encode_plain, in_parts, non_finite, pointer_to

M = TypeVar("M", bound=BaseModel)


class WrittenResult(str):
    """A validated result in the form of `write_result`, from a handler process."""

    __slots__ = ()


_SHOWN_CHARACTERS = 60
_SECRETS = (SecretStr, SecretBytes)
_QUOTING_NOTHING = frozenset({"missing", "json_invalid"})  # errors of pydantic whose text never shows a value
# The text of other errors names the expectation, except for these and for validators of users.
_QUOTING_NO_VALUE = (frozenset(get_args(ErrorType)) - {"assertion_error", "union_tag_invalid", "value_error"}) | {
    "exact_literal",
    "format",
    "integer",
    "json_schema",
    "number",
}
_NOT_WRITABLE = (PydanticSerializationError, TypeError, ValueError, RecursionError)


def write_params(
    job_name: str, model: type[BaseModel], params: object, redact: Sequence[str] = ()
) -> tuple[BaseModel, str]:
    """Validate params. Return the model and the JSON text to store, with defaults and the names of the spec.

    Raises `InvalidParamsError` with the JSON pointer of each problem. Hides values at `redact` pointers.
    """
    return _write(model, params, (InvalidParamsError, job_name, redact))


def write_params_of_many(
    job_name: str, model: type[BaseModel], params_list: Iterable[object], redact: Sequence[str] = ()
) -> Iterator[tuple[BaseModel, str]]:
    """Like `write_params`, for the params of many jobs, in parts. A part with params that do not fit yields nothing.

    Raises one `InvalidParamsError` at the end, for all params that do not fit: each pointer begins with their index.
    """
    refused = (InvalidParamsError, job_name, redact)
    return chain.from_iterable(_written_in_parts(job_name, model, params_list, refused))


def _written_in_parts(
    job_name: str, model: type[M], params_list: Iterable[object], refused: _Refused
) -> Iterator[list[tuple[M, str]]]:
    problems: list[Problem] = []
    left_out = 0
    first = 0
    for part, kinds in in_parts(params_list):
        written = None if kinds is None else _write_together(model, part, kinds, refused)
        if written is None:
            written = []
            for index, params in enumerate(part, first):
                try:
                    written.append(_write(model, params, refused, kinds))
                except InvalidParamsError as error:
                    located = [Problem(f"/{index}{one.pointer}", one.message, one.unquoted) for one in error.problems]
                    shown = located[: MOST_PROBLEMS - len(problems)]
                    problems += shown
                    left_out += len(located) - len(shown) + error.left_out
        if not problems:
            yield written
        first += len(part)
    if problems:
        raise InvalidParamsError(job_name, problems, left_out)


def read_params(job_name: str, model: type[BaseModel], text: str, redact: Sequence[str] = ()) -> BaseModel:
    """Return the model of stored params. Drops undeclared properties. Raises `InvalidParamsError`."""
    return _read(model, text, (InvalidParamsError, job_name, redact))


def write_result(job_name: str, model: type[BaseModel | None], result: object) -> tuple[BaseModel | None, str]:
    """Validate a result. Return the model and the JSON text to store. Raises `InvalidResultError`.

    Without a result, the model is `NoneType`, the value None and the text `null`.
    """
    if issubclass(model, BaseModel):
        return _write(model, result, (InvalidResultError, job_name, ()))
    if result is not None:
        message = f"must be None, as the spec has no result, not {type(result).__name__}"
        raise InvalidResultError(job_name, (Problem("", message),))
    return None, "null"


def read_result(job_name: str, model: type[BaseModel | None], text: str) -> BaseModel | None:
    """Return the model of a stored result. Drops undeclared properties. Raises `InvalidResultError`.

    Without a result, return None, also for a row of an earlier contract with a result.
    """
    return _read(model, text, (InvalidResultError, job_name, ())) if issubclass(model, BaseModel) else None


def redacted(text: str, pointers: Iterable[str]) -> str:
    """Return JSON text with the values at these pointers masked. Mask everything if the text is not JSON."""
    hidden = tuple(pointers)
    if not hidden:
        return text
    try:
        document: object = json.loads(text)
    except (ValueError, RecursionError):
        return json.dumps(HIDDEN, ensure_ascii=False)
    for pointer in hidden:
        if pointer == "":
            return json.dumps(HIDDEN, ensure_ascii=False)
        parent, _, last = pointer.rpartition("/")
        holder = at_pointer(document, parent)
        key = last.replace("~1", "/").replace("~0", "~")
        if isinstance(holder, dict) and key in holder:
            holder[key] = HIDDEN
        elif isinstance(holder, list) and key.isdecimal() and int(key) < len(holder):
            holder[int(key)] = HIDDEN
    return json.dumps(document, ensure_ascii=False)


def lost_fields(model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    """Yield the fields of this model and nested models whose values would be lost in JSON, with the reason."""
    pending, seen = [model], {model}
    while pending:
        owner = pending.pop()
        serializers = owner.__pydantic_decorators__
        if serializers.model_serializers or serializers.field_serializers:
            continue  # a serializer of the user may write them
        for name, field in owner.model_fields.items():
            classes = [] if _writes(field.metadata) else list(_classes_in(field.annotation))
            if field.exclude:
                yield f"{owner.__name__}.{name}", "is excluded from what its model writes"
            elif any(issubclass(part, _SECRETS) for part in classes):
                yield f"{owner.__name__}.{name}", "is written as asterisks; make it a `str` and name it in `redact`"
            inner = {part for part in classes if issubclass(part, BaseModel)} - seen
            pending += inner
            seen |= inner


@cache
def is_checked(model: type[BaseModel]) -> bool:
    """Whether a used model contains `Checked` or `CheckedModel`."""
    pending: list[object] = [model.__pydantic_core_schema__]
    while pending:
        part = pending.pop()
        if isinstance(part, Check) or (isinstance(part, type) and issubclass(part, Check)):
            return True
        if isinstance(part, Mapping):
            pending += part.values()
        elif isinstance(part, list | tuple):
            pending += part
    return False


def _classes_in(annotation: object) -> Iterator[type]:
    if isinstance(annotation, type) and get_origin(annotation) is None:
        yield annotation
    if not _writes(getattr(annotation, "__metadata__", ())):
        for argument in get_args(annotation):
            yield from _classes_in(argument)


def _writes(metadata: Iterable[object]) -> bool:
    return any(isinstance(mark, PlainSerializer | WrapSerializer) for mark in metadata)


class _Refusal:
    """The error for a document that does not fit."""

    def __init__(
        self, error: type[InvalidParamsError | InvalidResultError], job_name: str, redact: Sequence[str]
    ) -> None:
        self._error = error
        self._job_name = job_name
        self._redact = redact

    def __call__(self, problems: Iterable[Problem]) -> InvalidDocumentError:
        return self._error(self._job_name, tuple(problems))

    def cause(self, error: Exception) -> Exception | None:
        """Return the cause to chain: None if values are redacted, because tracebacks show the input of pydantic."""
        return None if self._redact else error

    def of(self, error: ValidationError, text: str) -> InvalidDocumentError:
        """Return the error for this document (JSON text). A check of one property may quote another, redacted one."""
        details, document, mask = error.errors(include_url=False), _parsed(text), masking(text, self._redact)
        problems = tuple(self._problem(detail, document, mask) for detail in details[:MOST_PROBLEMS])
        return self._error(self._job_name, problems, len(details) - len(problems))

    def _problem(self, detail: ErrorDetails, document: object, mask: Mask) -> Problem:
        pointer = pointer_to(_path(detail["loc"], document, missing=detail["type"] == "missing"))
        is_hidden = is_redacted(pointer, self._redact)
        if is_hidden and detail["type"] not in _QUOTING_NOTHING:
            return Problem(pointer, "does not fit its spec, got a value that is not shown")
        if is_hidden:
            return Problem(pointer, detail["msg"])
        unquoted = detail["msg"] if detail["type"] in _QUOTING_NO_VALUE else "does not fit its spec"
        return Problem(pointer, f"{mask(detail['msg'])}{self._shown(detail, mask)}", mask(unquoted))

    def _shown(self, detail: ErrorDetails, mask: Mask) -> str:
        value = detail["input"]
        if detail["type"] == "missing" or isinstance(value, Mapping | list | BaseModel):
            return ""
        text = mask(json.dumps(value, ensure_ascii=False, default=repr))  # before it is truncated
        return f", got {text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + '…'}"


_Refused = tuple[type[InvalidParamsError | InvalidResultError], str, Sequence[str]]
"""The arguments of `_Refusal`, which only a document that does not fit needs."""


def _write(model: type[M], value: object, refused: _Refused, kinds: Kinds | None = None) -> tuple[M, str]:
    """Make the JSON text, then validate the text, so that the stored text is the validated one."""
    # The exact types first: `isinstance` with a class of pydantic or `abc` costs several calls.
    if type(value) is model or (not isinstance(value, dict) and isinstance(value, BaseModel)):
        text = _dump(value, refused)
        try:
            return _validate(model, text, refused), text
        except InvalidDocumentError:
            if not is_checked(type(value)):
                raise
        text = _dump(value, refused, only_set=True)
        return _validate(model, text, refused), text
    if isinstance(value, (dict, Mapping)):
        written, problems = encode(value, kinds)
        if problems:
            raise _Refusal(*refused)(problems)
        validated = _validate(model, written, refused)
        return validated, _complete(validated, refused, written)
    message = f"must be of type {model.__name__} or a mapping, not {type(value).__name__}"
    raise _Refusal(*refused)([Problem("", message)])


def _write_together(
    model: type[M], values: Sequence[object], kinds: Kinds, refused: _Refused
) -> list[tuple[M, str]] | None:
    """Like `_write`, for many mappings, with one call for each. Return None if one of them may not fit."""
    if set(map(type, values)) != {dict}:
        return None
    validate = model.__pydantic_validator__.validate_json
    written: list[tuple[M, str]] = []
    try:
        for value in values:  # one after another, so that long texts stay in the cache of the processor
            encoded = encode_plain(value, kinds)
            if encoded is None:
                return None
            data, text = encoded
            validated: M = validate(data, by_alias=True, by_name=False)
            dumped = validated.__pydantic_serializer__.to_json(validated, by_alias=True, warnings=False)
            written.append((validated, text if dumped == data else _complete(validated, refused, text)))
    except (ValidationError, InvalidDocumentError, *_NOT_WRITABLE):
        return None
    return written


def _complete(value: BaseModel, refused: _Refused, written: str) -> str:
    """Return the text of a valid model with its defaults, or without them if the spec rejects the result.

    A default may exceed the number of properties, or require another property.
    """
    text = _dump(value, refused, written)
    if text == written or not is_checked(type(value)):
        return text
    try:
        _validate(type(value), text, refused)
    except InvalidDocumentError:
        return _dump(value, refused, written, only_set=True)
    return text


def _dump(value: BaseModel, refused: _Refused, checked: str | None = None, *, only_set: bool = False) -> str:
    """Return the text of a model. Skip the checks if it equals `checked`, which passed them."""
    try:
        serializer = value.__pydantic_serializer__
        data = serializer.to_json(value, by_alias=True, exclude_unset=only_set, warnings=False)
    except _NOT_WRITABLE as error:
        refuse = _Refusal(*refused)
        cause = refuse.cause(error)
        reason = "cannot be written as JSON" + ("" if cause is None else f": {cause}")
        raise refuse(_located(value) or [Problem("", reason)]) from cause
    if checked is not None and data == checked.encode():
        return checked
    text: str = data.decode()
    problems = check(text, is_written=True)
    # NaN and infinity become null, which a nullable property would accept, or invalid JSON.
    if not problems and ("null" in text or "NaN" in text or "Infinity" in text):
        problems = non_finite(value.model_dump(by_alias=True, warnings=False))
    if problems:
        raise _Refusal(*refused)(problems)
    return text


def _located(value: BaseModel) -> tuple[Problem, ...]:
    """Return the places of values that cannot be written, if they can be found."""
    try:
        return encode(value.model_dump(mode="json", by_alias=True, warnings=False))[1]
    except _NOT_WRITABLE:
        return ()


def _validate(model: type[M], text: str, refused: _Refused) -> M:
    try:
        # Like `model_validate_json`, without its checks at each call.
        validated: M = model.__pydantic_validator__.validate_json(text, by_alias=True, by_name=False)
    except ValidationError as error:
        refuse = _Refusal(*refused)
        raise refuse.of(error, text) from refuse.cause(error)
    return validated


def _read(model: type[M], text: str, refused: _Refused) -> M:
    """Read text that another version of the spec may have written. Ignore undeclared properties, and nothing else."""
    validate = model.__pydantic_validator__.validate_json
    validated: M
    try:
        validated = validate(text, by_alias=True, by_name=False)
    except ValidationError as error:
        trimmed = _without_undeclared(error, text, model)
        if trimmed is not None:
            with suppress(ValidationError):
                validated = validate(trimmed, by_alias=True, by_name=False)
                return validated
        refuse = _Refusal(*refused)
        raise refuse.of(error, text) from refuse.cause(error)
    return validated


def _without_undeclared(error: ValidationError, text: str, model: type[BaseModel]) -> str | None:
    """Return the text without undeclared properties, or None if there are other errors.

    Keep them inside of a union, where they may distinguish the branches, unless the model is a tagged union.
    """
    document, labels = _parsed(text), 1 if _is_tagged(model) else 0
    for detail in error.errors(include_url=False, include_context=False, include_input=False):
        if detail["type"] != "extra_forbidden":
            return None
        *path, name = detail["loc"][labels:]
        holder = document
        for part in path:
            holder = _inside(holder, part)
        if not isinstance(holder, dict) or name not in holder:
            return None
        del holder[name]
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def _is_tagged(model: type[BaseModel]) -> bool:
    return model.__pydantic_root_model__ and model.model_fields["root"].discriminator is not None


def _inside(holder: object, part: int | str) -> object:
    """Return the part of a document with this key or index, or None, as for the label of a branch."""
    if isinstance(holder, dict):
        return holder.get(part)
    return holder[part] if isinstance(holder, list) and isinstance(part, int) and part < len(holder) else None


def _parsed(text: str) -> object:
    try:
        return cast("object", json.loads(text))
    except (ValueError, RecursionError):
        return None


def _path(location: tuple[int | str, ...], document: object, *, missing: bool) -> list[int | str]:
    """Return the location of an error without the labels of union branches, which the document does not contain."""
    path: list[int | str] = []
    for index, part in enumerate(location):
        if isinstance(document, dict) and part in document:  # noqa: SIM114  each branch narrows to its own type
            document = document[part]
        elif isinstance(document, list) and isinstance(part, int) and part < len(document):
            document = document[part]
        elif not (missing and index == len(location) - 1):
            continue
        path.append(part)
    return path
