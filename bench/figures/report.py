"""The page of results: targets, figures, pictures, and a description of each subject."""

from __future__ import annotations

from collections.abc import Sequence

from bench.figures.picture import Picture
from bench.figures.results import Results
from bench.figures.table import figures_table, promises_table, targets_table
from bench.figures.target import Target, Verdict


def report(results: Results, targets: Sequence[Target], pictures: Sequence[Picture]) -> str:
    """Return the page as Markdown."""
    verdicts = [target.verdict(results) for target in targets]
    met, missed = verdicts.count(Verdict.MET), verdicts.count(Verdict.NOT_MET)
    sections = [
        ["# Queues side by side", "", *_head(results)],
        [
            "## Targets",
            "",
            f"{met} met, {missed} not met, by the medians of this run.",
            "",
            *targets_table(results, targets),
        ],
        ["## Figures", "", "Median (least–most).", "", *figures_table(results)],
        [line for picture in pictures for line in (f"![{picture.title}]({picture.file_name})", "")],
        ["## What each does in this work", "", *promises_table(results)],
        _not_measured(results),
    ]
    return "\n\n".join("\n".join(section).rstrip() for section in sections if section) + "\n"


def _head(results: Results) -> list[str]:
    lines = ["Written by `make bench`; what is measured and how: [README.md](README.md).", ""]
    if results.date:
        lines += [f"- date: {results.date}"]
    lines += [f"- {name}: {value}" for name, value in results.machine.items()]
    lines += [f"- {name}: {value}" for name, value in results.options.items()]
    lines += [f"- package versions: {_versions(results)}"]
    return lines


def _versions(results: Results) -> str:
    found: dict[str, str] = {}
    for subject in results.subjects.values():
        versions = subject.about["versions"]
        if isinstance(versions, dict):
            found |= versions
    return ", ".join(f"{name} {version}" for name, version in sorted(found.items()))


def _not_measured(results: Results) -> list[str]:
    left_out = [f"- {name} was left out: {reason}" for name, reason in results.left_out.items()]
    lines = [*left_out, *(f"- {error}" for error in results.errors)]
    return ["## What was not measured", "", *lines] if lines else []
