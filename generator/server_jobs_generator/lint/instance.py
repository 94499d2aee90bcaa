"""Whether a JSON value fits a schema of a spec: defaults, examples, constants and params of schedules.

Schemas that are wrong themselves are read as generously as possible: their own problem is reported elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pydantic import JsonValue
from server_jobs.contract.schemas.checker import Compiler
from server_jobs.contract.schemas.run import CheckTooLongError, Run, Violation

from ..problems.problem import shown
from ..read.document import Pointer
from ..read.keywords import ANNOTATIONS
from ..read.library import Library, UnresolvedReferenceError

MOST_REFERENCES = 64

_MOST_STEPS = 100_000


@dataclass(slots=True)
class Fitting:
    """Compares values with the schemas of one library, in a number of steps that is bounded for each file."""

    library: Library
    steps: int = _MOST_STEPS
    compiler: Compiler = field(init=False)

    def __post_init__(self) -> None:
        self.compiler = Compiler(self._resolve)

    def start_file(self) -> None:
        """Allow as many steps as one file may take."""
        self.steps = _MOST_STEPS

    def violations(self, schema: JsonValue, file: str, value: JsonValue) -> list[tuple[Pointer, str]]:
        """Where and why the value does not fit a schema that stands in `file`."""
        run = Run(self.steps, report=[])
        try:
            if self.compiler.compile(schema, file)(value, (), None, run):
                return []
        except CheckTooLongError as error:
            return [((), str(error))]
        except RecursionError:
            return [((), "is nested too deep to be checked against its schema")]
        finally:
            self.steps = max(run.steps, 0)
        return [(violation.path, _worded(violation, value)) for violation in run.report or ()]

    def _resolve(self, reference: str, base: str) -> tuple[JsonValue, str]:
        return referenced(self.library, reference, base)


def follow(library: Library, schema: JsonValue, file: str) -> tuple[JsonValue, str]:
    """The schema behind any chain of mere references, and its file; an empty one where the chain ends nowhere.

    What says something beside its reference is no mere one.
    """
    for _ in range(MOST_REFERENCES):
        if not isinstance(schema, dict) or not schema.keys() <= ANNOTATIONS | {"$ref"}:
            return schema, file
        if not isinstance(reference := schema.get("$ref"), str):
            return schema, file
        schema, file = referenced(library, reference, file)
    return {}, file


def referenced(library: Library, reference: str, file: str) -> tuple[JsonValue, str]:
    """The schema that a reference leads to, and its file; an empty one where it leads nowhere."""
    try:
        target = library.resolve(reference, file)
    except UnresolvedReferenceError:
        return {}, file
    return library.value_at(target), target.file


def _worded(violation: Violation, value: JsonValue) -> str:
    for token in violation.path:
        value = value[token]  # type: ignore[index]  # a path that the check has found
    return f"{violation.message}, not {shown(value)}" if violation.message.startswith("must ") else violation.message
