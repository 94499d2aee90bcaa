"""Readable figures, and the tables of the results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.figures.measurement import Exactness
from bench.figures.results import Results, Spread, SubjectResults
from bench.figures.target import Target, Verdict

_COLUMNS = (
    ("enqueue one, jobs/s", "one"),
    ("enqueue bulk, jobs/s", "bulk"),
    ("drain 1 process, jobs/s", "drain 1"),
    ("drain 2 processes, jobs/s", "drain 2"),
    ("drain 8 processes, jobs/s", "drain 8"),
    ("drain beside limits, if any, jobs/s", "drain, no limits"),
    ("concurrency by key, jobs/s", "drain, concurrency by key"),
    ("rate by key, jobs/s", "drain, rate by key"),
    ("handlers of 5 ms, jobs/s", "drain, handlers wait"),
    ("100 kB: one, jobs/s", "large, one"),
    ("100 kB: bulk, jobs/s", "large, bulk"),
    ("100 kB: drain, jobs/s", "large, drain"),
    ("long drain, jobs/s", "drain 1, long"),
    ("drain 1, full table, jobs/s", "drain 1, full table"),
    ("pick-up p50, ms", "pick-up p50"),
    ("pick-up p99, ms", "pick-up p99"),
    ("idle, % of a core", "idle"),
)


def figure(value: float) -> str:
    """Return a number with about three digits, and thousands separated by a thin space."""
    if value >= 1000:
        return f"{value:,.0f}".replace(",", "\u202f")
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def figures_table(results: Results) -> list[str]:
    """Return a row for each subject: medians, with minimum and maximum."""
    columns = [(title, measure) for title, measure in _COLUMNS if _is_known(results, measure)]
    rows = [
        [_title(name, found), *(_cell(found, measure) for _, measure in columns), _exact(found.worst())]
        for name, found in results.subjects.items()
    ]
    return markdown_table(["subject", *(title for title, _ in columns), "twice / never / unfinished / lost"], rows)


def targets_table(results: Results, targets: Sequence[Target]) -> list[str]:
    """Return a row for each target, with its value and its verdict."""
    return markdown_table(
        ["store", "target", "wanted", "measured", "verdict"],
        [
            [target.store, target.says, _wanted(target), _measured(target, results), _shown(target, results)]
            for target in targets
        ],
    )


def promises_table(results: Results) -> list[str]:
    """Return a row for each subject with its guarantees, which differ."""
    return markdown_table(
        ["subject", "store", "what it does and does not"],
        [[name, str(found.about["store"]), str(found.about["promises"])] for name, found in results.subjects.items()],
    )


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def _is_known(results: Results, measure: str) -> bool:
    return any(each.partition(":")[0] == measure for found in results.subjects.values() for each in found.measures)


def _title(name: str, found: SubjectResults) -> str:
    versions = found.about["versions"]
    of_first = next(iter(versions.values()), "") if isinstance(versions, Mapping) else ""
    shown = f"{name} {of_first}".strip()
    return shown if found.about["is_flushed"] else f"{shown} (not flushed)"


def _cell(found: SubjectResults, measure: str) -> str:
    if measure != "bulk":
        return _spread(found.measures.get(measure))
    calls = {name.partition(": ")[2]: values for name, values in found.measures.items() if name.startswith("bulk: ")}
    return "; ".join(f"{call}: {_spread(values)}" for call, values in calls.items()) or "–"


def _spread(values: Sequence[float] | None) -> str:
    if not values:
        return "–"
    spread = Spread(values)
    if len(values) == 1:
        return figure(spread.median)
    return f"{figure(spread.median)} ({figure(spread.least)}–{figure(spread.most)})"


def _exact(worst: Exactness | None) -> str:
    return f"{worst.twice} / {worst.never} / {worst.unfinished} / {worst.lost}" if worst else "–"


def _wanted(target: Target) -> str:
    if target.bound is None:
        return "–"
    return f"at {'most' if target.is_at_most else 'least'} {target.bound:,g} {target.unit}".replace(",", "\u202f")


def _measured(target: Target, results: Results) -> str:
    value = target.measured(results)
    return "–" if value is None else f"{figure(value)} {target.unit}"


def _shown(target: Target, results: Results) -> str:
    verdict = target.verdict(results)
    return f"**{verdict}**" if verdict is Verdict.NOT_MET else str(verdict)
