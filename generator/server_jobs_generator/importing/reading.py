"""Read schemas with the generator's own reader, and drop the keywords that it refuses."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace

from pydantic import JsonValue
from server_jobs.contract.values import at_pointer, path_of

from ..ir.spec import JobSpec, Specs, check_specs
from ..problems.problem import SpecProblem, shown
from ..problems.rules import (
    EXAMPLE_DOES_NOT_FIT,
    EXTRA_NOT_STATED,
    ITEMS_MISSING,
    KEYWORD_REFUSED,
    PATTERN_REFUSED,
    TYPE_MISSING,
)
from ..read.document import read_document
from ..read.library import SpecFile
from .found_job import LeftOut

_MOST_ROUNDS = 10
_DROPPED = frozenset(rule.id for rule in (PATTERN_REFUSED, KEYWORD_REFUSED))
# They describe the schema as it stands, and the spec has the same schema.
_NO_LOSS = frozenset(rule.id for rule in (TYPE_MISSING, EXTRA_NOT_STATED, ITEMS_MISSING, EXAMPLE_DOES_NOT_FIT))
# Inside these, a dropped keyword would refuse values that the source accepts.
_TURNED = frozenset({"not", "if", "oneOf", "contains"})


@dataclass(frozen=True, slots=True)
class ReadSpecs:
    """The result of a reading: the files without the dropped keywords, and their jobs.

    With `problems`, a keyword was refused that cannot be dropped, and `jobs` is empty.
    """

    files: tuple[SpecFile, ...]
    jobs: tuple[JobSpec, ...]
    left_out: tuple[LeftOut, ...]
    problems: tuple[SpecProblem, ...]


def read_carefully(files: Iterable[SpecFile]) -> ReadSpecs:
    """Read these files, which may refer to no others. Drop each keyword that the generator refuses, and list it.

    A keyword stays, and its problem is reported, where the schema without it would refuse more values.
    """
    current = {file.name: file for file in files}
    left_out: list[LeftOut] = []
    specs = check_specs(current.values())
    for _ in range(_MOST_ROUNDS):
        refused = [problem for problem in specs.problems if _can_be_dropped(problem)]
        if not specs.problems or len(refused) < len(specs.problems):
            break
        by_path = {file.path: file for file in current.values()}
        for problem in refused:
            file = by_path[problem.path]
            changed, value = _without(file, problem.pointer)
            by_path[problem.path] = current[file.name] = changed
            left_out.append(_dropped(problem, value))
        specs = check_specs(current.values())
    jobs = () if specs.problems else specs.jobs
    return ReadSpecs(tuple(current.values()), jobs, (*left_out, *_ignored(specs)), specs.problems)


def _can_be_dropped(problem: SpecProblem) -> bool:
    return problem.rule in _DROPPED and _TURNED.isdisjoint(problem.pointer.split("/"))


def _without(file: SpecFile, pointer: str) -> tuple[SpecFile, JsonValue]:
    """Return the file without the member at this pointer, and the member. The file may become JSON."""
    document = read_document(
        file.path if file.path.endswith((".yaml", ".yml", ".jsonc")) else ".json", file.data
    ).document
    if document is None:
        raise ValueError(f"{file.path} was read before")
    value = deepcopy(document.value)
    owner = at_pointer(value, pointer.rpartition("/")[0])
    if not isinstance(owner, dict):
        raise TypeError(f"{pointer} is no member of an object")
    removed = owner.pop(path_of(pointer)[-1])
    return replace(file, data=json.dumps(value).encode()), removed


def _dropped(problem: SpecProblem, value: JsonValue) -> LeftOut:
    keyword = problem.pointer.rpartition("/")[2]
    return _left_out(problem, f"{keyword} {shown(value)}")


def _ignored(specs: Specs) -> Iterator[LeftOut]:
    for warning in specs.warnings:
        if warning.rule not in _NO_LOSS:
            yield _left_out(warning, warning.pointer.rpartition("/")[2])


def _left_out(problem: SpecProblem, what: str) -> LeftOut:
    # Most messages end with advice.
    why, _, advice = problem.message.rpartition("; ")
    place = f"{problem.path}#{problem.pointer}"
    return LeftOut(place, what, why or advice, advice if why else f"run `server-jobs explain {problem.rule}`")
