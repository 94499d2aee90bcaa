"""A target: a value from the results of one run, its bound, and the verdict."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from bench.catalogue import BARE, OURS
from bench.figures.results import Results

Value = Callable[[Results], float | None]


class Verdict(StrEnum):
    """The verdict on a target."""

    MET = "met"
    NOT_MET = "not met"
    UNKNOWN = "not measured"
    NONE = "for comparison"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A bound for the value `measured`: a minimum, or a maximum if `is_at_most`. None means "for comparison"."""

    store: str
    says: str
    measured: Value
    bound: float | None
    is_at_most: bool = False
    unit: str = "x"

    def verdict(self, results: Results) -> Verdict:
        """Return the verdict, from the medians of this run."""
        value = self.measured(results)
        if value is None:
            return Verdict.UNKNOWN
        if self.bound is None:
            return Verdict.NONE
        return Verdict.MET if (value <= self.bound if self.is_at_most else value >= self.bound) else Verdict.NOT_MET

    def as_json(self, results: Results) -> dict[str, object]:
        """Return the target with the measured value and the verdict."""
        return {
            "store": self.store,
            "target": self.says,
            "bound": self.bound,
            "measured": self.measured(results),
            "unit": self.unit,
            "verdict": str(self.verdict(results)),
        }


def median_of(subject: str, measure: str) -> Value:
    """Return the median of a measure of one subject."""

    def value(results: Results) -> float | None:
        spread = results.spread(subject, measure)
        return spread.median if spread else None

    return value


def median_of_bare(store: str, measure: str) -> Value:
    """Return the median over the bare drivers of all batch sizes, for measures that the batch size does not affect."""

    def value(results: Results) -> float | None:
        names = [name for name in results.subjects if name.startswith(f"{BARE}{store}-")]
        found = [value for name in names for value in results.subjects[name].measures.get(measure, [])]
        return statistics.median(found) if found else None

    return value


def best_of(subject: str, *measures: str) -> Value:
    """Return the largest median of several measures of one subject; None until all are measured."""

    def value(results: Results) -> float | None:
        found = [results.spread(subject, measure) for measure in measures]
        medians = [spread.median for spread in found if spread is not None]
        return max(medians) if len(medians) == len(measures) else None

    return value


def ratio(ours: Value, theirs: Value) -> Value:
    """Return one value divided by another; None if one is missing."""

    def value(results: Results) -> float | None:
        above, below = ours(results), theirs(results)
        return above / below if above is not None and below else None

    return value


def _peers(results: Results, store: str) -> Iterator[str]:
    for name, found in results.subjects.items():
        if found.about.get("store") == store and name not in OURS and not name.startswith(BARE):
            yield name


def best_peer(store: str, measure: str, best: Callable[[list[float]], float]) -> Value:
    """Return the best median of all other queues on this store. For `bulk`, all bulk calls count."""

    def value(results: Results) -> float | None:
        found = [
            spread.median
            for name in _peers(results, store)
            for each in results.subjects[name].measures
            if each.partition(":")[0] == measure and (spread := results.spread(name, each))
        ]
        return best(found) if found else None

    return value
