"""Params and results for property tests: made after the schema, and let through by the model itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Generic, NoReturn, TypeVar

from hypothesis import HealthCheck, Phase, find, reject, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample, Unsatisfiable
from hypothesis.strategies import SearchStrategy
from pydantic import BaseModel, JsonValue, ValidationError

from ..contract.json_schema import Schema
from ..contract.values import check, pointer_to
from ..errors import ServerJobsError
from .fitting_values import NothingFitsError
from .schema_values import SchemaValues

__all__ = ["NoValuesError", "SearchStrategy", "smallest_of", "values_of"]

M = TypeVar("M", bound=BaseModel)

_NO_MATTER = (HealthCheck.data_too_large, HealthCheck.filter_too_much, HealthCheck.too_slow, HealthCheck.nested_given)
_PATIENCE = 40  # Hypothesis itself gives up at 50, and could not say why


class NoValuesError(ServerJobsError):
    """No value that fits a schema can be made: there is none, or only ones that hardly anything leads to."""


def values_of(job_name: str, part: str, schema: Schema, model: type[M]) -> SearchStrategy[M]:
    """Values of a model that fit the schema it was made of. Raises `NoValuesError`."""
    own = f"make values with a strategy of your own, such as `st.builds({model.__name__}, ...)`"
    return _values_of(_Sieve(job_name, part, model, own), schema)


def smallest_of(job_name: str, part: str, schema: Schema, model: type[M]) -> M:
    """One of these values, the simplest one if that is easily found: the same in each run."""
    # What is tried first is the simplest. To make another one simpler takes a second, for which a fake should not ask.
    chosen = settings(database=None, derandomize=True, phases=[Phase.generate], suppress_health_check=_NO_MATTER)
    own = f"say what is to be returned: `result={model.__name__}(...)`"
    sieve = _Sieve(job_name, part, model, own)
    try:
        return find(_values_of(sieve, schema), lambda _: True, settings=chosen)
    except (NoSuchExample, Unsatisfiable):  # there were too few candidates for the patience of the sieve
        raise sieve.nothing_for((), "was found", "its schema refuses all there is") from None


def _values_of(sieve: _Sieve[M], schema: Schema) -> SearchStrategy[M]:
    makers = SchemaValues(schema)
    documents = makers.of(schema)
    if documents.is_empty:
        raise sieve.nothing_for(
            makers.empty_place(schema), "can be made", "nothing, or nothing finite, fits its schema"
        )
    return sieve.values(documents)


class _Sieve(Generic[M]):
    """Lets through what the model takes, and says what the matter is when that is nothing."""

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
                raise self.nothing_for(error.place, "was found", "whatever was tried, its schema refuses it") from None

        return value()

    def nothing_for(self, place: Sequence[str], how: str, reason: str) -> NoValuesError:
        """The error that says for which part of the document no value is there, why, and what to do."""
        where = f" of the property {pointer_to(place)}" if place else ""
        return NoValuesError(
            f"no {self._part} of {self._job_name} {how}: no value{where}, because {reason}; {self._advice}"
        )

    def _model_of(self, document: JsonValue) -> M:
        text = json.dumps(document)
        try:
            if check(text):
                self._missed((), "no store would keep the document")
            value = self._model.model_validate_json(text)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            self._missed([str(step) for step in first["loc"]], first["msg"])
        self._hits += 1
        return value

    def _missed(self, place: Sequence[str], reason: str) -> NoReturn:
        self._misses += 1
        if self._misses >= _PATIENCE and not self._hits:
            raise self.nothing_for(place, "was found", f"the model refused the last one that was tried ({reason})")
        reject()
