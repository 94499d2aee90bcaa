"""The options of a benchmark run."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .catalogue import SUBJECTS, Phase


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The subjects, the phases, the repetitions and the numbers of jobs."""

    subjects: tuple[str, ...]
    phases: tuple[Phase, ...]
    repetitions: int
    jobs: int
    ones: int
    pick_ups: int
    finished: int
    large: int
    long: int
    idle_seconds: float
    imports: int
    limit: float
    output: Path
    date: str | None

    def as_json(self) -> dict[str, object]:
        """Return the options that a reader needs to repeat the results."""
        return {
            "repetitions": self.repetitions,
            "jobs": self.jobs,
            "jobs one by one": self.ones,
            "pick-ups": self.pick_ups,
            "finished jobs in the full table": self.finished,
            "jobs with large params": self.large,
            "jobs of the long drain": self.long,
            "idle seconds": self.idle_seconds,
            "imports": self.imports,
        }


def read_options(arguments: Sequence[str]) -> Options:
    """Read the options from the command line. Exit with a message if they are invalid."""
    given = _parser().parse_args(arguments)
    quick = bool(given.quick)

    def chosen(name: str, full: float, short: float) -> float:
        value = getattr(given, name)
        return (short if quick else full) if value is None else value

    return Options(
        subjects=tuple(given.subjects or SUBJECTS),
        phases=tuple(Phase(name) for name in given.phases.split(",")),
        repetitions=int(chosen("repetitions", 3, 1)),
        jobs=int(chosen("jobs", 20_000, 5_000)),
        ones=int(chosen("ones", 2_000, 1_000)),
        pick_ups=int(chosen("pick_ups", 400, 100)),
        finished=int(chosen("finished", 1_000_000, 100_000)),
        large=int(chosen("large", 500, 100)),
        long=int(chosen("long", 1_000_000, 20_000)),
        idle_seconds=chosen("idle_seconds", 10, 5),
        imports=int(chosen("imports", 15, 5)),
        limit=given.limit,
        output=given.output or Path("bench/quick" if quick else "bench"),
        date=given.date,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Queues side by side; see bench/README.md.")
    parser.add_argument("subjects", nargs="*", help=f"of {', '.join(SUBJECTS)}, or MODULE:VARIANT; by default all")
    parser.add_argument("--quick", action="store_true", help="one repetition with few jobs: a look, not a measurement")
    parser.add_argument("--phases", default=",".join(Phase), help="default: %(default)s")
    parser.add_argument("-r", "--repetitions", type=int, help="default: 3, quick 1")
    parser.add_argument("-n", "--jobs", type=int, help="jobs of bulk and drains; default: 20000, quick 5000")
    parser.add_argument("--ones", type=int, help="jobs enqueued one by one; default: 2000, quick 1000")
    parser.add_argument("--pick-ups", type=int, help="default: 400, quick 100")
    parser.add_argument("--finished", type=int, help="jobs in the full table; default: 1000000, quick 100000")
    parser.add_argument("--large", type=int, help="jobs with params of 100 kB; default: 500, quick 100")
    parser.add_argument("--long", type=int, help="jobs of the long drain; default: 1000000, quick 20000")
    parser.add_argument("--idle-seconds", type=float, help="default: 10, quick 5")
    parser.add_argument("--imports", type=int, help="processes of which the best import counts; default: 15, quick 5")
    parser.add_argument("--limit", type=float, default=180, help="seconds a drain may take; default: %(default)g")
    parser.add_argument("--date", help="a date for the results; by default they have none")
    parser.add_argument("-o", "--output", type=Path, help="folder; default: bench, quick bench/quick")
    return parser
