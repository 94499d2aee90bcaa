"""Params and results for property tests: made after the schema, and let through by the model itself."""

from __future__ import annotations

import json
from typing import Generic, NoReturn, TypeVar

from hypothesis import HealthCheck, Phase, find, reject, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from pydantic import BaseModel, JsonValue, ValidationError

from ..errors import ServerJobsError
from ..json_schema import Schema
from ..values import check
from .schema_values import SchemaValues

__all__ = ["NoValuesError", "SearchStrategy", "smallest_of", "values_of"]

M = TypeVar("M", bound=BaseModel)

_NO_MATTER = (HealthCheck.data_too_large, HealthCheck.filter_too_much, HealthCheck.too_slow, HealthCheck.nested_given)
_PATIENCE = 40  # Hypothesis itself gives up at 50, and could not say why


class NoValuesError(ServerJobsError):
    """No value that fits a schema can be made: there is none, or only ones that hardly anything leads to."""


def values_of(job_name: str, part: str, schema: Schema, model: type[M]) -> SearchStrategy[M]:
    """Values of a model that fit the schema it was made of. Raises `NoValuesError`."""
    documents = SchemaValues(schema).of(schema)
    if documents.is_empty:
        raise NoValuesError(f"no {part} of {job_name} can be made: nothing, or nothing finite, fits its schema")
    return _Sieve(job_name, part, model).values(documents)


def smallest_of(job_name: str, part: str, schema: Schema, model: type[M]) -> M:
    """One of these values, the simplest one if that is easily found: the same in each run."""
    # What is tried first is the simplest. To make another one simpler takes a second, for which a fake should not ask.
    chosen = settings(database=None, derandomize=True, phases=[Phase.generate], suppress_health_check=_NO_MATTER)
    return find(values_of(job_name, part, schema, model), lambda _: True, settings=chosen)


class _Sieve(Generic[M]):
    """Lets through what the model takes, and says what the matter is when that is nothing."""

    def __init__(self, job_name: str, part: str, model: type[M]) -> None:
        self._job_name = job_name
        self._part = part
        self._model = model
        self._hits = self._misses = 0

    def values(self, documents: SearchStrategy[JsonValue]) -> SearchStrategy[M]:
        @st.composite
        def value(draw: st.DrawFn) -> M:
            return self._model_of(draw(documents))

        return value()

    def _model_of(self, document: JsonValue) -> M:
        text = json.dumps(document)
        try:
            if check(text):
                self._missed("no store would keep the document")
            value = self._model.model_validate_json(text)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = "/" + "/".join(map(str, first["loc"]))
            self._missed(f"{place}: {first['msg']}")
        self._hits += 1
        return value

    def _missed(self, reason: str) -> NoReturn:
        self._misses += 1
        if self._misses >= _PATIENCE and not self._hits:
            raise NoValuesError(
                f"no {self._part} of {self._job_name} was found that fits its spec, the last one for this reason: "
                f"{reason}. Make values with a strategy of your own, such as `st.builds({self._model.__name__}, ...)`"
            )
        reject()
