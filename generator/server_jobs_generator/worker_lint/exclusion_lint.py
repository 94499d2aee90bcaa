"""What `python_modules.exclude` leaves out although it is needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

from ..problems.problem import shown
from .engine_files import engine_files
from .exclusions import EXCLUDE, generated_exclusions, read_exclusions
from .finding import CodeFinding
from .packages import is_requirement_of, needed_modules
from .rules import EXCLUDED_ENGINE, EXCLUDED_PART
from .upload import ENGINE, Upload


def check_exclusions(upload: Upload) -> Iterator[CodeFinding]:
    """By dependencies of the user's, and by the Worker itself."""
    yield from _of_dependencies(upload)
    yield from _of_the_engine(upload)


def _of_dependencies(upload: Upload) -> Iterator[CodeFinding]:
    """What is left out of packages that come with a dependency of the user's; the generated patterns are for ours."""
    exclusions = read_exclusions(upload.settings)
    for dependency in upload.dependencies or ():
        if is_requirement_of(dependency, ENGINE):
            continue
        for module in needed_modules(dependency):
            numbers = exclusions.patterns_within(module)
            if numbers:
                excluded = f"{exclusions.listed(numbers)} {'are' if len(numbers) > 1 else 'is'} excluded"
                subject = f"{excluded}, and {dependency} needs {module}"
                yield upload.settings.finding(EXCLUDED_PART, *EXCLUDE, numbers[0], subject=subject)


def _of_the_engine(upload: Upload) -> Iterator[CodeFinding]:
    """What the user's patterns leave out of the Worker itself, beyond the generated ones."""
    exclusions, known = read_exclusions(upload.settings), generated_exclusions()
    if set(exclusions.patterns) <= set(known.patterns):
        return
    for number, taken in sorted(exclusions.taking_any(_needed_files()).items()):
        others = f" and {len(taken) - 1} more" if len(taken) > 1 else ""
        subject = f"{shown(exclusions.patterns[number])} leaves out {taken[0]}{others}"
        yield upload.settings.finding(EXCLUDED_ENGINE, *EXCLUDE, number, subject=subject)


@cache
def _needed_files() -> Sequence[str]:
    """Return the files of the Worker itself, sorted. Found once: the search goes through all installed packages."""
    known = generated_exclusions()
    return sorted({file for file in engine_files() if not known.taking(file)})
