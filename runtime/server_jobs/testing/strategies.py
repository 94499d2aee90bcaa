"""Strategies for params and results: made from the schema, then validated by the model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Generic, NoReturn, TypeVar

from hypothesis import HealthCheck, Phase, find, reject, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample, Unsatisfiable
from hypothesis.strategies import SearchStrategy, none
from pydantic import BaseModel, JsonValue, ValidationError

from ..contract.json_schema import Schema
from ..contract.values import check, pointer_to
from ..errors import ServerJobsError
from .fitting_values import NothingFitsError
from .schema_values import SchemaValues

__all__ = ["NoValuesError", "SearchStrategy", "none", "smallest_of", "values_of"]

M = TypeVar("M", bound=BaseModel)

_NO_MATTER = (HealthCheck.data_too_large, HealthCheck.filter_too_much, HealthCheck.too_slow, HealthCheck.nested_given)
_PATIENCE = 40  # Hypothesis gives up at 50, without the reason


class NoValuesError(ServerJobsError):
    """No valid value can be made: none exists, or nearly all made values are invalid."""


def values_of(job_name: str, part: str, schema: Schema, model: type[M]) -> SearchStrategy[M]:
    """Return valid values of the model that was made from the schema. Raises `NoValuesError`."""
    own = f"make values with a strategy of your own, such as `st.builds({model.__name__}, ...)`"
    return _values_of(_Sieve(job_name, part, model, own), schema)


def smallest_of(job_name: str, part: str, schema: Schema, model: type[M]) -> M:
    """Return one of these values, the simplest that is easily found. It is the same in each run."""
    # The first candidate is the simplest. Shrinking it further takes a second, too long for a fake.
    chosen = settings(database=None, derandomize=True, phases=[Phase.generate], suppress_health_check=_NO_MATTER)
    own = f"set the result: `result={model.__name__}(...)`"
    sieve = _Sieve(job_name, part, model, own)
    try:
        return find(_values_of(sieve, schema), lambda _: True, settings=chosen)
    except (NoSuchExample, Unsatisfiable):  # Hypothesis gave up before the filter did
        raise sieve.nothing_for((), "was found", "its schema rejected every attempt") from None


def _values_of(sieve: _Sieve[M], schema: Schema) -> SearchStrategy[M]:
    makers = SchemaValues(schema)
    documents = makers.of(schema)
    if documents.is_empty:
        raise sieve.nothing_for(makers.empty_place(schema), "can be made", "nothing finite fits its schema")
    return sieve.values(documents)


class _Sieve(Generic[M]):
    """Filters values by the model, and reports the reason if none is valid."""

    def __init__(self, job_name: str, part: str, model: type[M], advice: str) -> None:
        self._job_name = job_name
        self._part = part
        self._model = model
        self._advice = advice
        self._hits = self._misses = 0

    def values(self, documents: SearchStrategy[JsonValue]) -> SearchStrategy[M]:
        @st.composite
        def value(draw: st.DrawFn) -> M:
            try:
                return self._model_of(draw(documents))
            except NothingFitsError as error:
                raise self.nothing_for(error.place, "was found", "its schema rejected every attempt") from None

        return value()

    def nothing_for(self, place: Sequence[str], how: str, reason: str) -> NoValuesError:
        """Return the error that names the part of the document without a value, the reason, and the remedy."""
        where = f" of the property {pointer_to(place)}" if place else ""
        return NoValuesError(
            f"no {self._part} of {self._job_name} {how}: no value{where}, because {reason}; {self._advice}"
        )

    def _model_of(self, document: JsonValue) -> M:
        text = json.dumps(document)
        try:
            if check(text):
                self._missed((), "stores reject the document")
            value = self._model.model_validate_json(text)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            self._missed([str(step) for step in first["loc"]], first["msg"])
        self._hits += 1
        return value

    def _missed(self, place: Sequence[str], reason: str) -> NoReturn:
        self._misses += 1
        if self._misses >= _PATIENCE and not self._hits:
            raise self.nothing_for(place, "was found", f"the model rejected the last attempt ({reason})")
        reject()
