"""Jobs from Pydantic models: `shop.models:SendEmail`, or every job of a module.

The params of the job `SendEmail` are the model `SendEmail`, or `SendEmailParams`. Its result is `SendEmailResult`, if
the module has that model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pydantic import BaseModel
from server_jobs_generator.read.keywords import Schema

from .found_job import ANY_ERROR, Found, FoundJob, ImportSourceError, found_each, joined
from .modules import ModuleTarget, defined_in, import_target
from .python_types import type_schema, with_result

_PARAMS = "Params"
_RESULT = "Result"


def find(targets: Sequence[str], folders: Sequence[str]) -> Found:
    """Return the jobs of models. See `Source`.

    A dataclass or a typed dict can be a target too. Of a module without a name, models that are results, or that
    another model of the module uses, are no jobs.
    """
    return joined(_found(import_target(target, folders)) for target in targets)


def _found(target: ModuleTarget) -> Found:
    module, models = target.module, vars(target.module)
    names = [target.attribute] if target.attribute is not None else _jobs_of(target)
    places = ((f"{module.__name__}:{name}", name) for name in names)
    return found_each(places, lambda place, name: _job(place, name, models))


def _jobs_of(target: ModuleTarget) -> list[str]:
    """Return the names of the models that are the params of a job."""
    models = defined_in(target.module, _is_model)
    uses = {name: _definitions(value, f"{target.place}:{name}") for name, value in models.items()}
    # A recursive model uses itself. Models that use each other may each be a job.
    used = {inner for name, found in uses.items() for inner in found if name not in uses.get(inner, ())}
    names = [name for name in models if name not in used and not _is_result(name, models)]
    if not names:
        raise ImportSourceError(f"{target.place} defines no Pydantic model; name one, such as {target.place}:SendEmail")
    return names


def _is_model(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, BaseModel)


def _is_result(name: str, models: Mapping[str, object]) -> bool:
    stem = name.removesuffix(_RESULT)
    return stem != name and (stem in models or f"{stem}{_PARAMS}" in models)


def _definitions(model: object, place: str) -> Schema:
    """Return the definitions that a model uses; none if the model cannot be read, which is reported as its job."""
    try:
        definitions = type_schema(model, "validation", place).part.schema.get("$defs")
    except ANY_ERROR:
        return {}
    return definitions if isinstance(definitions, dict) else {}


def _job(place: str, name: str, models: Mapping[str, object]) -> FoundJob:
    model = models.get(name)
    if not isinstance(model, type):
        raise ImportSourceError(f"it must be a class, such as a Pydantic model, not {type(model).__name__}")
    stem = name.removesuffix(_PARAMS)
    params = type_schema(model, "validation", place)
    schema = dict(params.part.schema)
    description = schema.pop("description", None)
    job = FoundJob(
        name=stem,
        place=place,
        params=replace(params.part, schema=schema),
        description=description if isinstance(description, str) else None,
        left_out=params.left_out,
    )
    result = models.get(f"{stem}{_RESULT}")
    if not isinstance(result, type):
        return job
    return with_result(job, result, f"{place.rpartition(':')[0]}:{stem}{_RESULT}")
