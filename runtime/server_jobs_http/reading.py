"""Bodies and queries as models: the types of their fields, and errors that name each problem."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Annotated, Any, TypeAlias, TypeVar

from pydantic import BaseModel, BeforeValidator, Field, ValidationError, WithJsonSchema, create_model
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError
from server_jobs.contract.values import pointer_to
from server_jobs.domain.options import HIGHEST_PRIORITY, LOWEST_PRIORITY, MOST_ATTEMPTS
from server_jobs.errors import Problem
from starlette.requests import Request

from .problem_document import RefusedError

M = TypeVar("M", bound=BaseModel)

REQUEST_DOES_NOT_FIT = "the request does not fit its schema"

_SECONDS = "[0-9]{1,6}([.][0-9]{1,3})?S"  # stores keep milliseconds
_TIME = f"[0-9]{{1,6}}H([0-9]{{1,6}}M)?({_SECONDS})?|[0-9]{{1,6}}M({_SECONDS})?|{_SECONDS}"
_DURATION = re.compile(f"P[0-9]{{1,5}}D|P[0-9]{{1,4}}W|P([0-9]{{1,5}}D)?T({_TIME})")

Text = Annotated[str, Field(pattern=r"^[^\x00]*$")]
"""Text that every store keeps unchanged."""
GivenText: TypeAlias = Text | None


def _number(value: object) -> object:
    """Accept integers of JSON, including `5.0`. Leave texts and booleans to the type check."""
    if isinstance(value, str | bool):
        raise PydanticCustomError("int_type", "Input should be a valid integer")
    return value


def _duration(value: object) -> object:
    """Refuse years and months, which have no fixed length, and durations beyond every delay."""
    if not isinstance(value, str) or _DURATION.fullmatch(value) is None:
        raise PydanticCustomError("time_delta_parsing", "Input should be an ISO 8601 duration such as PT5M or P1DT12H")
    return value


def _period(value: object) -> object:
    """Like `_duration`, and refuse zero."""
    if not re.search("[1-9]", str(_duration(value))):
        raise PydanticCustomError("time_delta_parsing", "Input should be an ISO 8601 duration longer than zero")
    return value


Delay = Annotated[
    timedelta, BeforeValidator(_duration), WithJsonSchema({"type": "string", "pattern": f"^({_DURATION.pattern})$"})
]
Period = Annotated[
    timedelta,
    BeforeValidator(_period),
    WithJsonSchema({"type": "string", "pattern": f"^(?=.*[1-9])({_DURATION.pattern})$"}),
]
Priority = Annotated[int, Field(ge=LOWEST_PRIORITY, le=HIGHEST_PRIORITY), BeforeValidator(_number)]
Attempts = Annotated[int, Field(ge=1, le=MOST_ATTEMPTS), BeforeValidator(_number)]


def with_texts(texts: Mapping[str, FieldInfo]) -> Callable[[type[M]], type[M]]:
    """Add fields to a model, for texts that may be missing. Those that the model has already stay."""

    def decorate(model: type[M]) -> type[M]:
        made: dict[str, Any] = {
            name: (GivenText, found) for name, found in texts.items() if name not in model.model_fields
        }
        return create_model(model.__name__, __base__=model, __doc__=model.__doc__, **made)

    return decorate


def text_field(about: str, longest: int | None = None) -> FieldInfo:
    """Return the field of a text that may be missing: its words, and its most characters."""
    return FieldInfo.from_field(None, max_length=longest, description=about)


def read_body(model: type[M], body: bytes) -> M:
    """Return the body of a request. Raises `RefusedError`, which names each problem by its JSON pointer."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise _refused(error) from None


def checked(model: type[M], values: Mapping[str, object]) -> M:
    """Return the values as a model. Raises `RefusedError`, which names each problem."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise _refused(error) from None


def query_of(request: Request, model: type[M]) -> M:
    """Return the query of a request as a model. The description of the route has the same model.

    Raises `RefusedError`, which names each problem, and for a repeated parameter other than `where`.
    """
    given = request.query_params.multi_items()
    counts = Counter(name for name, _ in given if name != "where")
    if repeated := next((name for name, count in counts.items() if count > 1), None):
        raise RefusedError(422, f"the parameter {repeated!r} is given more than once")
    where = request.query_params.getlist("where")
    return checked(model, {**dict(given), **({"where": where} if where else {})})


def _refused(error: ValidationError) -> RefusedError:
    details = error.errors(include_url=False, include_input=False, include_context=False)
    if any(detail["type"] == "json_invalid" for detail in details):
        return RefusedError(400, f"the body is not JSON: {details[0]['msg']}")
    return RefusedError(422, REQUEST_DOES_NOT_FIT, (Problem(pointer_to(one["loc"]), one["msg"]) for one in details))
