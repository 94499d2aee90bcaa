"""Params and result of a job from the type hints of a function."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from inspect import Parameter
from typing import Annotated, Any, Unpack, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, Field, create_model
from pydantic.fields import FieldInfo
from server_jobs.domain.options import JobOptions

from .found_job import ANY_ERROR, FoundJob, ImportSourceError, LeftOut, reason
from .python_types import has_secrets, type_schema, with_result

_STREAMS = (Iterator, AsyncIterator)


def job_of_function(
    function: Callable[..., object],
    *,
    name: str,
    place: str,
    skip: int = 0,
    options: JobOptions | None = None,
) -> FoundJob:
    """Return the job that calls a function: a property for each parameter, and the type of its return value.

    `skip` is the number of first parameters that the queue fills in, such as `self` or a context. Raises
    `ImportSourceError` if the signature or a type hint cannot be read.
    """
    parameters, hints = _signature(function, place)
    params = _Params(place, hints)
    for parameter in parameters[skip:]:
        params.add(parameter)
    config = ConfigDict(extra="allow" if params.is_open else "forbid", arbitrary_types_allowed=True)
    read = type_schema(create_model("Params", __config__=config, **params.fields), "validation", place)
    found = FoundJob(
        name=name,
        place=place,
        params=read.part if params.fields or params.is_open else None,
        description=_description(function),
        options=options or JobOptions(),
        left_out=(*params.left_out, *read.left_out),
        is_plain=not inspect.iscoroutinefunction(inspect.unwrap(function)),
    )
    return _with_result(found, hints)


def _signature(function: Callable[..., object], place: str) -> tuple[list[Parameter], dict[str, object]]:
    try:
        parameters = list(inspect.signature(function).parameters.values())
        hints = get_type_hints(inspect.unwrap(function), include_extras=True)
    except ANY_ERROR as error:
        raise ImportSourceError(f"the signature of {place} cannot be read: {reason(error)}") from error
    return parameters, hints


class _Params:
    """The fields of a model with the parameters of a function."""

    def __init__(self, place: str, hints: dict[str, object]) -> None:
        self.fields: dict[str, Any] = {}
        self.left_out: list[LeftOut] = []
        self.is_open = False
        self._place = place
        self._hints = hints

    def add(self, parameter: Parameter) -> None:
        """Add a parameter. `*args` are left out, `**kwargs` become further properties."""
        name = parameter.name
        if parameter.kind is Parameter.VAR_POSITIONAL:
            why, advice = "a property of params has a name", "add a property with a list to the spec"
            self._leave_out(f"*{name}", f"parameter *{name}", why, advice)
            return
        if parameter.kind is Parameter.VAR_KEYWORD:
            self.is_open = True
            values = self._hints.get(name, object)
            if has_secrets(get_args(values)[0] if get_origin(values) is Unpack else values):
                raise ImportSourceError(f"**{name} has secrets without names; name them as parameters")
            why, advice = "it has no names", "the spec accepts further properties of any type; name those that you use"
            self._leave_out(f"**{name}", f"parameter **{name}", why, advice)
            return
        if name not in self._hints:
            advice = "the spec accepts any value; add a type hint and import again, or state the type in the spec"
            self._leave_out(name, "type", "the parameter has no type hint", advice)
        hint: Any = self._hints.get(name, object)
        default: object = parameter.default
        if default is None and name in self._hints:  # without a hint, the spec accepts null anyway
            hint = hint | None
        stated = Field(alias=name) if default is Parameter.empty else Field(default, alias=name)
        if isinstance(default, FieldInfo):
            hint, stated = Annotated[hint, default], Field(alias=name)
        # An alias, because a model cannot have fields such as `_name` or `copy`.
        self.fields[f"field_{len(self.fields)}"] = (hint, stated)

    def _leave_out(self, name: str, what: str, why: str, advice: str) -> None:
        self.left_out.append(LeftOut(f"{self._place}({name})", what, why, advice))


def _with_result(job: FoundJob, hints: dict[str, object]) -> FoundJob:
    """Return the job with the result that the function's hint states."""
    place = f"{job.place}(return)"
    if "return" not in hints:
        why, advice = "the function has no return hint", "add a result to the spec if callers read it"
        return replace(job, left_out=(*job.left_out, LeftOut(place, "result", why, advice)))
    hint = hints["return"]
    if hint is type(None):
        return job
    origin = get_origin(hint)
    if isinstance(origin, type) and issubclass(origin, _STREAMS):
        why, advice = "a job returns once", "return a list, or report progress through the context"
        return replace(job, left_out=(*job.left_out, LeftOut(place, "yielded values", why, advice)))
    return with_result(job, hint, place)


def _description(function: Callable[..., object]) -> str | None:
    return inspect.getdoc(function) or None
