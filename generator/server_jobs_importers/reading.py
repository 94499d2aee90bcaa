"""Read schemas with the generator's own reader, and drop the keywords that it refuses."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import cast

from pydantic import JsonValue
from server_jobs.contract.values import path_of, pointer_to
from server_jobs_generator.ir.spec import JobSpec, Specs, check_specs
from server_jobs_generator.problems.problem import SpecProblem, shown
from server_jobs_generator.problems.rules import (
    EXAMPLE_DOES_NOT_FIT,
    EXTRA_NOT_STATED,
    ITEMS_MISSING,
    KEYWORD_REFUSED,
    PATTERN_REFUSED,
    TYPE_MISSING,
)
from server_jobs_generator.read.document import Pointer, read_document
from server_jobs_generator.read.library import SpecFile

from .found_job import LeftOut
from .turned import Place, tokens, turned, value_at

_MOST_ROUNDS = 20
_DROPPED = frozenset(rule.id for rule in (PATTERN_REFUSED, KEYWORD_REFUSED))
# They describe the schema as it stands, and the spec has the same schema.
_NO_LOSS = frozenset(rule.id for rule in (TYPE_MISSING, EXTRA_NOT_STATED, ITEMS_MISSING, EXAMPLE_DOES_NOT_FIT))
# They restrict no value.
_WITHOUT_VALUES = frozenset({"$dynamicAnchor", "$recursiveAnchor", "x-job"})
# What `unevaluatedProperties` and `unevaluatedItems` around them count as evaluated.
_EVALUATING = frozenset({"$dynamicRef", "$recursiveRef", "unevaluatedItems"})


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
        changes = _Changes(current, specs.problems) if specs.problems else None
        if changes is None or not changes.are_possible:
            break
        left_out += changes.made()
        specs = check_specs(current.values())
    jobs = () if specs.problems else specs.jobs
    return ReadSpecs(tuple(current.values()), jobs, (*left_out, *_ignored(specs)), specs.problems)


class _Changes:
    """The changes of files, by name, after which their schemas accept the same values and more."""

    def __init__(self, files: dict[str, SpecFile], problems: Iterable[SpecProblem]) -> None:
        self._files = files
        self._problems = list(problems)
        self._documents = {name: _document(file) for name, file in files.items()}
        self._turned = turned(self._documents)
        self._names = {file.path: name for name, file in files.items()}
        self._changed: set[str] = set()
        self._around = {problem: self._keywords_around(problem) for problem in self._problems}

    @property
    def are_possible(self) -> bool:
        """Whether every problem can be solved."""
        return all(map(self._can_be_solved, self._problems))

    def made(self) -> Iterator[LeftOut]:
        """Change the files, and yield the lost parts."""
        if around := set().union(*self._around.values()):
            # Without a branch, a value may fit several.
            for name, pointer in sorted(around, key=str):
                owner = self._owner(name, pointer)
                owner["anyOf"] = owner.pop("oneOf")
                why, advice = (
                    "it has a keyword that a spec cannot express",
                    "the spec has anyOf; check it in the handler",
                )
                yield LeftOut(f"{self._files[name].path}#{pointer_to(pointer)}", "oneOf", why, advice)
        else:
            for problem in self._problems:
                yield from self._dropped(problem)
        for name in self._changed:
            self._files[name] = replace(self._files[name], data=json.dumps(self._documents[name]).encode())

    def _can_be_solved(self, problem: SpecProblem) -> bool:
        keyword = problem.pointer.rpartition("/")[2]
        if problem.rule not in _DROPPED or (keyword in _EVALUATING and self._has_unevaluated()):
            return False
        return all(
            pointer[-1] == "oneOf" and "anyOf" not in self._owner(name, pointer)
            for name, pointer in self._around[problem]
        )

    def _keywords_around(self, problem: SpecProblem) -> set[Place]:
        if problem.pointer.rpartition("/")[2] in _WITHOUT_VALUES:
            return set()
        name = self._names[problem.path]
        place = tokens(self._documents[name], path_of(problem.pointer))
        return self._turned.around((name, place or ()))

    def _has_unevaluated(self) -> bool:
        return any(b'"unevaluated' in file.data for file in self._files.values())

    def _dropped(self, problem: SpecProblem) -> Iterator[LeftOut]:
        """Drop a keyword. The properties of a dropped pattern become further ones, so any are allowed."""
        name = self._names[problem.path]
        place = tokens(self._documents[name], path_of(problem.pointer))
        if place is None:
            return
        owner = self._owner(name, place)
        removed = owner.pop(str(place[-1]))
        yield _left_out(problem, f"{problem.pointer.rpartition('/')[2]} {shown(removed)}")
        if place[-2:-1] == ("patternProperties",):
            outer = self._owner(name, place[:-1])
            if outer.get("additionalProperties", True) is not True:
                yield _left_out(problem, f"additionalProperties {shown(outer['additionalProperties'])}")
            outer["additionalProperties"] = True

    def _owner(self, name: str, place: Pointer) -> dict[str, JsonValue]:
        """Return the object around a place, which the caller may change."""
        self._changed.add(name)
        return cast("dict[str, JsonValue]", value_at(self._documents[name], place[:-1]))


def _document(file: SpecFile) -> JsonValue:
    ending = file.path if file.path.endswith((".yaml", ".yml", ".jsonc")) else ".json"
    document = read_document(ending, file.data).document
    if document is None:
        raise ValueError(f"{file.path} was read before")
    return deepcopy(document.value)


def _ignored(specs: Specs) -> Iterator[LeftOut]:
    for warning in specs.warnings:
        if warning.rule not in _NO_LOSS:
            yield _left_out(warning, warning.pointer.rpartition("/")[2])


def _left_out(problem: SpecProblem, what: str) -> LeftOut:
    # Most messages end with advice.
    why, _, advice = problem.message.rpartition("; ")
    place = f"{problem.path}#{problem.pointer}"
    return LeftOut(place, what, why or advice, advice if why else f"run `server-jobs explain {problem.rule}`")
