"""The selection of pictures for a run."""

from __future__ import annotations

from dataclasses import dataclass

from bench.catalogue import BARE, OURS
from bench.figures.picture import Group, Picture
from bench.figures.results import Results, Spread


@dataclass(frozen=True, slots=True)
class _Plan:
    name: str
    title: str
    series: dict[str, str]
    unit: str
    is_least_best: bool = False


_STORES = {"postgresql": "PostgreSQL", "sqlite": "SQLite", "redis": "Redis"}
_PLANS = (
    _Plan("drain", "Jobs run a second", {"one process": "drain 1", "two processes": "drain 2"}, "jobs/s"),
    _Plan("enqueue-one", "Enqueued one by one", {"a commit each": "one"}, "jobs/s"),
    _Plan("enqueue-bulk", "Enqueued in bulk", {"fastest call": "bulk"}, "jobs/s"),
    _Plan(
        "pick-up", "From enqueueing to running", {"p50": "pick-up p50", "p99": "pick-up p99"}, "ms", is_least_best=True
    ),
)


def pictures(results: Results) -> list[Picture]:
    """Return one picture for each store and each kind of figure that has more than one subject."""
    drawn = [_picture(results, plan, store) for store in ("postgresql", "sqlite") for plan in _PLANS]
    return [picture for picture in drawn if len(picture.groups) > 1]


def _picture(results: Results, plan: _Plan, store: str) -> Picture:
    groups = [
        Group(name, bars, _kind(name))
        for name, found in results.subjects.items()
        if found.about["store"] == store
        and any(bars := [_bar(results, name, measure) for measure in plan.series.values()])
    ]
    groups.sort(key=lambda group: _rank(group, plan))
    title = f"{plan.title}, {_STORES[store]}"
    return Picture(f"{plan.name}-{store}.svg", title, tuple(plan.series), plan.unit, groups)


def _kind(name: str) -> str:
    return "ours" if name in OURS else "bare" if name.startswith(BARE) else "peer"


def _rank(group: Group, plan: _Plan) -> float:
    first = next(bar.median for bar in group.bars if bar)
    return first if plan.is_least_best else -first


def _bar(results: Results, subject: str, measure: str) -> Spread | None:
    if measure != "bulk":
        return results.spread(subject, measure)
    calls = [name for name in results.subjects[subject].measures if name.startswith("bulk: ")]
    spreads = [spread for name in calls if (spread := results.spread(subject, name))]
    return max(spreads, key=lambda spread: spread.median, default=None)
