"""Many specs, a portion at a time: what looking at one portion takes is given back before the next one is looked at.

Whatever needs a look at all of them at once is left to `check_specs`: problems, and references that cannot be told at
a glance. So nothing is found here that would not be found there.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import unquote

from ..ir.spec import MAX_TOTAL_VALUES, JobSpec, Specs, check_specs
from ..lint.spec_style import Style
from ..parallel.garbage import few_collections
from ..parallel.processes import Processes
from ..problems.problem import SpecProblem
from ..python.names import folded
from ..read.library import reached
from ..read.spec_files import SpecFile

_PORTION = 50
# What many refer to is looked at in many portions; if that is much, all at once takes less time.
_MOST_OFTEN = 1.5
_REFERENCE = re.compile(rb'"\$ref"\s*:\s*"([^"#]+)')
# A schema with a name of its own, which any file may refer to; a key that is not written as it is read.
_NOT_AT_A_GLANCE = re.compile(rb'"(?:\$id|\$anchor)"|\\u00')

Portion = tuple[Sequence[SpecFile], Style]


def check_many(found: Sequence[SpecFile | SpecProblem], style: Style, processes: Processes) -> Specs:
    """As `check_specs`, in less time and memory if there are many."""
    files = [file for file in found if isinstance(file, SpecFile)]
    if len(found) == len(files) and processes.pay_off(len(files)) and (portions := _portions(files)):
        specs = _joined(processes.map(_check, [(portion, style) for portion in portions]))
        if specs is not None:
            return specs
    return check_specs(found, style)


def _portions(files: Sequence[SpecFile]) -> list[list[SpecFile]]:
    """All files, each with all that it refers to; none where that cannot be told at a glance, or is nearly all."""
    if any(_NOT_AT_A_GLANCE.search(file.data) for file in files) or sum(map(_most_values, files)) > MAX_TOTAL_VALUES:
        return []
    needs = {file.name: set(_references(file)) for file in files}
    jobs = [file.name for file in files if not file.is_shared]
    chunks = [reached(jobs[start : start + _PORTION], needs) for start in range(0, len(jobs), _PORTION)]
    rest = {file.name for file in files}.difference(*chunks)
    portions = [[file for file in files if file.name in chunk] for chunk in (*chunks, reached(rest, needs)) if chunk]
    return portions if len(portions) > 1 and sum(map(len, portions)) <= _MOST_OFTEN * len(files) else []


def _most_values(file: SpecFile) -> int:
    """How many values are in a file at most: each is the whole, or comes behind one of these."""
    return 1 + sum(map(file.data.count, (b",", b"[", b"{")))


def _references(file: SpecFile) -> Iterator[str]:
    for match in set(_REFERENCE.findall(file.data)):
        yield posixpath.normpath(
            posixpath.join(posixpath.dirname(file.name), unquote(match.decode("utf-8", "replace")))
        )


@few_collections()
def _check(portion: Portion) -> Specs:
    return check_specs(*portion)


def _joined(portions: Iterable[Specs]) -> Specs | None:
    """All of them together; None where there is a problem, in one or between them."""
    jobs: dict[str, JobSpec] = {}
    needs: dict[str, Iterable[str]] = {}
    sizes: dict[str, int] = {}
    for specs in portions:
        jobs |= {job.path: job for job in specs.jobs}
        needs |= specs.needs
        sizes |= specs.sizes
        if specs.problems:
            return None
    ordered = tuple(sorted(jobs.values(), key=lambda job: job.class_name))
    names = [[job.class_name for job in ordered], list(sizes)]
    if any(len(set(map(folded, each))) < len(each) for each in names):
        return None
    return Specs(ordered, (), {name: frozenset(each) for name, each in needs.items()}, sizes)
