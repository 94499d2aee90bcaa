"""All findings of a run as places with messages, for GitHub and for code scanning services."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from urllib.parse import quote

from server_jobs_generator.contracts.finding import ContractFinding
from server_jobs_generator.plan import Finding, Plan, State
from server_jobs_generator.problems.code_finding import CodeFinding
from server_jobs_generator.problems.problem import printable
from server_jobs_generator.problems.verdict import Verdict

from .explain import RulePage, plain, rule_page

_ADVICE: Mapping[State, str] = {
    State.MISSING: "is missing; run server-jobs generate",
    State.STALE: "does not match the specs; run server-jobs generate",
    State.EDITED: "was changed by hand; make the change in the spec or in a handler",
    State.EXTRA: "is unknown, and its folder belongs to the generator; move or delete it",
}
_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_ROOT = "%SRCROOT%"


class Level(StrEnum):
    """Fails the command, deserves a look, or is for information."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True, order=True)
class Annotation:
    """A message at a place. `pointer` is `""` for a whole file."""

    path: str
    line: int
    column: int
    level: Level
    rule: str
    message: str
    pointer: str = ""


def annotate(plan: Plan, files: Iterable[Finding], code: Sequence[CodeFinding] = ()) -> Iterator[Annotation]:
    """Yield the problems and warnings of specs, the files that differ from the plan, and the problems in code.

    Paths are relative to the project's root.
    """
    for level, problems in ((Level.ERROR, plan.problems), (Level.WARNING, plan.warnings)):
        for problem in problems:
            place = problem.path, problem.line, problem.column
            yield Annotation(*place, level, problem.rule, problem.pointer_and_message, problem.pointer)
    yield from (_of_contract(finding) for finding in plan.contracts if finding.accepted is None)
    yield from map(_of_file, files)
    for finding in dict.fromkeys((*plan.configuration, *code)):
        level = Level.ERROR if finding.verdict is Verdict.FAIL else Level.WARNING
        message = f"{finding.message}; {finding.advice}"
        yield Annotation(finding.path, finding.line, finding.column, level, finding.rule, message)


def below_repository(root: Path, found: Iterable[Annotation]) -> Iterator[Annotation]:
    """Yield the annotations with paths relative to the repository, which may contain the project in a folder."""
    prefix = _prefix(root.resolve())
    yield from (replace(one, path=prefix + one.path) for one in found)


def _prefix(root: Path) -> str:
    """Return the path of the project in its work tree, or else in the workspace of a GitHub workflow."""
    workspace = os.environ.get("GITHUB_WORKSPACE")
    tops = [folder for folder in (root, *root.parents) if (folder / ".git").exists()]
    if not tops and workspace and root.is_relative_to(Path(workspace).resolve()):
        tops = [Path(workspace).resolve()]
    path = root.relative_to(tops[0]).as_posix() if tops else "."
    return "" if path == "." else f"{path}/"


def _of_contract(finding: ContractFinding) -> Annotation:
    place = finding.place
    message = f"{place.pointer or '(whole file)'} {finding.text}"
    level = Level(finding.severity.value)
    return Annotation(place.path, place.line, place.column, level, finding.rule, message, place.pointer)


def _of_file(finding: Finding) -> Annotation:
    return Annotation(finding.path, 1, 1, Level.ERROR, finding.state.value, f"{finding.path} {_ADVICE[finding.state]}")


_COMMANDS: Mapping[Level, str] = {Level.ERROR: "error", Level.WARNING: "warning", Level.NOTE: "notice"}


def github_lines(found: Iterable[Annotation]) -> Iterator[str]:
    """Yield one command for each annotation. Paths are relative to the repository."""
    for one in found:
        place = f"file={_property(one.path)},line={one.line},col={one.column}"
        yield f"::{_COMMANDS[one.level]} {place},title={_property(one.rule)}::{_data(printable(one.message))}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def sarif(found: Iterable[Annotation]) -> str:
    """Return one SARIF run with a result for each annotation. Paths are relative to the repository."""
    results = list(found)
    ids = sorted({one.rule for one in results})
    driver = {
        "name": "server-jobs",
        "version": version("server-jobs"),
        "rules": [_rule(rule_page(name)) for name in ids],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {
            _ROOT: {"description": {"text": "The top of the repository, or of the project where there is none."}}
        },
        "results": [_result(one, ids.index(one.rule)) for one in results],
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False)


def _rule(page: RulePage) -> dict[str, object]:
    return {
        "id": page.id,
        "shortDescription": {"text": page.summary},
        "fullDescription": {"text": page.why},
        "help": {"text": plain(page), "markdown": page.markdown},
    }


def _result(one: Annotation, rule_index: int) -> dict[str, object]:
    location: dict[str, object] = {
        "physicalLocation": {
            "artifactLocation": {"uri": quote(os.fsencode(one.path)), "uriBaseId": _ROOT},
            "region": {"startLine": one.line, "startColumn": one.column},
        }
    }
    if one.pointer:
        location["logicalLocations"] = [{"fullyQualifiedName": one.pointer, "kind": "member"}]
    return {
        "ruleId": one.rule,
        "ruleIndex": rule_index,
        "level": one.level.value,
        "message": {"text": _without_links(printable(one.message))},
        "locations": [location],
        "partialFingerprints": {"pathRuleAndPointer/v1": f"{printable(one.path)}:{one.rule}:{one.pointer}"},
    }


def _without_links(text: str) -> str:
    """Escape brackets, because SARIF reads `[words](target)` in a message as a link."""
    return text.replace("[", "\\[").replace("]", "\\]") if "](" in text else text
