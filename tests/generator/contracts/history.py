"""A spec that changes repeatedly, for tests of the findings."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import cast

from server_jobs.project import Project
from server_jobs_generator.contracts.finding import ContractFinding
from server_jobs_generator.contracts.job_history import release
from server_jobs_generator.contracts.lock_file import Lock
from server_jobs_generator.contracts.review import review

from tests.generator.spec_projects import Schema, a_spec, an_object, read

TEXT: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer"}
TODAY = date(2026, 11, 26)
ACCEPTED = "contracts.accepted.json"


class History:
    """A project whose spec changes repeatedly; nothing is rendered."""

    def __init__(self, root: Path) -> None:
        self.root, self.lock = root, Lock()
        self.outputs: tuple[str, ...] = ()

    def now(
        self, *parts: Schema, files: dict[str, object] | None = None, x_job: Schema | None = None, title: str = "Case"
    ) -> list[ContractFinding]:
        """Return the findings for this spec."""
        return self.found({"case.json": a_spec(*parts, title=title, **{"x-job": x_job or {}}), **(files or {})})

    def found(self, files: dict[str, object]) -> list[ContractFinding]:
        for path in (self.root / "specs").glob("*"):
            path.unlink()
        specs = read(self.root, files)
        assert not specs.problems
        found = review(Project(root=self.root, outputs=self.outputs), self.lock, specs.jobs, today=TODAY)
        self.released = release(self.lock, specs.jobs)
        return list(found)

    def release(self, *parts: Schema, x_job: Schema | None = None) -> None:
        """Release the spec as it is, ignoring findings."""
        self.now(*parts, x_job=x_job)
        self.lock = self.released


def needing(**properties: object) -> Schema:
    """Return an object schema that requires all of these."""
    return {**an_object(**properties), "required": [*properties]}


def kinds(*names: str) -> Schema:
    """Return a union whose branches are tagged with these names."""
    frame = {"type": "object", "additionalProperties": False, "required": ["kind"]}
    return cast("Schema", {"oneOf": [{**frame, "properties": {"kind": {"const": name}}} for name in names]})


def stopping(found: list[ContractFinding]) -> set[str]:
    return {finding.rule for finding in found if finding.stops}


def both(params: Schema) -> tuple[Schema, Schema]:
    """Return the schema for both params and result."""
    return params, params


def accepted(**changes: object) -> dict[str, object]:
    """Return a file with one entry, changed like this; values of None are left out."""
    entry = {
        "rule": "CONSTRAINT_TIGHTENED",
        "job": "Case",
        "pointer": "/properties/params/properties/x",
        "change": 'must be one of "a" now',
        "reason": "No row has another value.",
        "expires": "2026-11-26",
        **changes,
    }
    return {ACCEPTED: {"accepted": [{key: value for key, value in entry.items() if value is not None}]}}
