"""The figures of the benchmark, from the results in this repository."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import cast

from ..markdown import escaped, table
from ..sources import ROOT

_MEASURES = {
    "one": "Enqueue one by one, jobs/s",
    "drain 1": "Drain, one process, jobs/s",
    "drain 2": "Drain, two processes, jobs/s",
    "pick-up p50": "Pick-up p50, ms",
    "pick-up p99": "Pick-up p99, ms",
}
_STORES = {"postgresql": "PostgreSQL", "sqlite": "SQLite", "redis": "Redis", "memory": "memory"}

Document = Mapping[str, object]


@cache
def _results() -> Mapping[str, object]:
    text = (ROOT / "bench/results.json").read_text(encoding="utf-8")
    return cast("Mapping[str, object]", json.loads(text))


def machine() -> str:
    """Return one sentence about the machine and its software."""
    found = cast("Mapping[str, str]", _results()["machine"])
    return f"Machine: {'; '.join(f'{name} {value}' for name, value in found.items())}."


def figures() -> str:
    """Return the table of medians, a row per subject."""
    subjects = cast("Mapping[str, Document]", _results()["subjects"])
    rows = [_row(name, found) for name, found in subjects.items() if "drain 1" in _measures(found)]
    return table(("Subject", "Store", *_MEASURES.values()), rows)


def _row(name: str, found: Document) -> tuple[str, ...]:
    about = cast("Mapping[str, str]", found["about"])
    values = (_median(_measures(found).get(measure)) for measure in _MEASURES)
    return name, _STORES[about["store"]], *values


def _measures(found: Document) -> Mapping[str, Sequence[float]]:
    return cast("Mapping[str, Sequence[float]]", found["measures"])


def _median(values: Sequence[float] | None) -> str:
    if not values:
        return "–"
    median = statistics.median(values)
    return f"{median:,.0f}" if median >= 100 else f"{median:.1f}"


def targets() -> str:
    """Return the table of targets that have a bound, with the measured value."""
    return table(("Store", "Target", "Wanted", "Measured", "Verdict"), _targets())


def _targets() -> Iterator[tuple[str, ...]]:
    for one in cast("Sequence[Mapping[str, str | float | None]]", _results()["targets"]):
        bound, measured, unit = one["bound"], one["measured"], one["unit"]
        if isinstance(bound, int | float) and isinstance(measured, int | float):
            yield (
                str(one["store"]),
                _prose(one["target"]),
                f"{bound:g} {unit}",
                f"{measured:.3g} {unit}",
                str(one["verdict"]),
            )


def _prose(text: object) -> str:
    """Return the text with its code spans."""
    return "`".join(part if number % 2 else escaped(part) for number, part in enumerate(str(text).split("`")))
