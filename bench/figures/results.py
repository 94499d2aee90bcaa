"""All measurements of a run, and their medians."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.figures.measurement import Exactness, Measurement


@dataclass(frozen=True, slots=True)
class Spread:
    """The values of all repetitions of one measure."""

    values: Sequence[float]

    @property
    def median(self) -> float:
        """The median."""
        return statistics.median(self.values)

    @property
    def least(self) -> float:
        """The minimum."""
        return min(self.values)

    @property
    def most(self) -> float:
        """The maximum."""
        return max(self.values)


@dataclass(frozen=True, slots=True)
class SubjectResults:
    """The description and the measurements of one subject."""

    about: Mapping[str, object]
    measures: dict[str, list[float]] = field(default_factory=dict)
    exactness: dict[str, list[Exactness]] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)

    def add(self, phase: str, measurement: Measurement) -> None:
        """Add one measurement."""
        for name, value in measurement.values.items():
            self.measures.setdefault(name, []).append(value)
        if measurement.exactness is not None:
            self.exactness.setdefault(phase, []).append(measurement.exactness)
        if measurement.complaints:
            self.complaints.append(f"{phase}: {measurement.complaints}")

    def worst(self) -> Exactness | None:
        """Return the maximum of each count over all drains; None before the first drain."""
        all_of_them = [each for drains in self.exactness.values() for each in drains]
        if not all_of_them:
            return None
        names = ("twice", "never", "unfinished", "lost")
        return Exactness(**{name: max(getattr(each, name) for each in all_of_them) for name in names})


@dataclass(frozen=True, slots=True)
class Results:
    """The results of a whole run. `left_out` has the reason for each subject that was not measured."""

    machine: Mapping[str, str]
    options: Mapping[str, object]
    subjects: dict[str, SubjectResults] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    date: str | None = None

    def spread(self, subject: str, measure: str) -> Spread | None:
        """Return the values of a measure; None if there are none."""
        found = self.subjects.get(subject)
        values = found.measures.get(measure) if found else None
        return Spread(values) if values else None

    def inexact(self, subjects: Sequence[str]) -> list[str]:
        """Return the subjects that ran a job twice or never, left it unfinished, or lost its result."""
        found = {name: self.subjects[name].worst() for name in subjects if name in self.subjects}
        return [name for name, worst in found.items() if worst is not None and not worst.is_exact]

    def write(self, path: Path, targets: Sequence[Mapping[str, object]]) -> None:
        """Write all values of all repetitions as JSON."""
        document = {**asdict(self), "targets": list(targets)}
        path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
