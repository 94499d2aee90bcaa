"""Measure how many public schemas can be params as they are, and compare the decisions about random documents.

Print each refused schema with its rules, and each difference. Exit with 1 if there is a difference, or if too few
schemas are accepted. Arguments are names of packages, to measure only these.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from .packages import collect
from .verdicts import Verdict, try_schema

DOCUMENTS = 150
LEAST_ACCEPTED = 0.8


def main() -> int:
    """Return the exit status."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        schemas = list(collect(Path(folder), sys.argv[1:]))
    print(f"{len(schemas)} schemas of {len({one.package for one in schemas})} packages", flush=True)
    verdicts: list[Verdict] = []
    # The models of a few large schemas fill a process. A `ProcessPoolExecutor` that replaces its processes can hang.
    with get_context("spawn").Pool(maxtasksperchild=40) as processes:
        for verdict in processes.imap(partial(try_schema, documents=DOCUMENTS), schemas):
            verdicts.append(verdict)
            for line in problems_of(verdict):
                print(line, flush=True)
    print(*figures_of(verdicts), f"took {time.monotonic() - started:.0f} s", sep="\n")
    return int(is_worse(verdicts))


def problems_of(verdict: Verdict) -> Iterator[str]:
    """Yield a line for a refused schema, and for each difference."""
    name = f"{verdict.schema.package} {verdict.schema.name}"
    if verdict.refused:
        yield f"refused {name}: {', '.join(verdict.refused)}"
    for difference in verdict.differences:
        yield f"DIFFERENCE {name} {difference}"


def figures_of(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """Yield the lines at the end: rules, the slowest schemas, and totals."""
    for rule, count in Counter(rule for verdict in verdicts for rule in verdict.refused).most_common():
        yield f"{count} refused by {rule}"
    for verdict in sorted(verdicts, key=lambda verdict: verdict.seconds)[-5:]:
        yield f"{verdict.seconds:.1f} s to generate {verdict.schema.package} {verdict.schema.name}"
    tried, fitting = sum(verdict.tried for verdict in verdicts), sum(verdict.fitting for verdict in verdicts)
    differences = sum(len(verdict.differences) for verdict in verdicts)
    yield f"{tried:,} documents, {fitting:,} of them valid, {differences} differences"
    yield f"{_accepted(verdicts)} of {len(verdicts)} schemas accepted"


def is_worse(verdicts: Sequence[Verdict]) -> bool:
    """Return whether a decision differs, or fewer schemas are accepted than this project promises."""
    has_differences = any(verdict.differences for verdict in verdicts)
    return has_differences or _accepted(verdicts) < LEAST_ACCEPTED * len(verdicts)


def _accepted(verdicts: Sequence[Verdict]) -> int:
    return sum(not verdict.refused for verdict in verdicts)


if __name__ == "__main__":
    sys.exit(main())
