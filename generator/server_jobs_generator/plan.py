"""The result of a run as a plain value, for reports and for `publish`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from .contracts.finding import ContractFinding
from .files.cache_folder import NO_PARTS, PlugInParts
from .files.generated_file import File
from .problems.code_finding import CodeFinding
from .problems.problem import SpecProblem


class State(StrEnum):
    """How a file differs: absent, out of date, changed by a person, or unknown in an owned folder."""

    MISSING = "MISSING"
    STALE = "STALE"
    EDITED = "EDITED"
    EXTRA = "EXTRA"


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One file that differs. `file` has the expected content; None for a file that should not exist.

    `kept` is true for a revision that a person changed: the generator cannot recreate it, so it leaves it unchanged.
    """

    path: str
    state: State
    file: File | None = None
    kept: bool = False
    found: str | None = None
    """The hash of the file at the comparison; None if it is missing or extra."""

    def __str__(self) -> str:
        return f"{self.state} {self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The findings of a run, and the files to write. If there are `problems`, everything else is empty but `warnings`.

    `contracts` are breaches of released contracts; if one of them `stops`, no file may be written. `remarks` are about
    the comparison with a revision. `findings` are the files to write or remove. `unused` are handlers without a job.
    `configuration` are findings about the user's files of outputs. Write `journal` before the files and
    `manifest` after them. `specs` is a hash of the specs behind the plan, and
    `parts` what plug-ins decided.
    """

    problems: tuple[SpecProblem, ...] = ()
    warnings: tuple[SpecProblem, ...] = ()
    contracts: tuple[ContractFinding, ...] = ()
    remarks: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    unused: tuple[str, ...] = ()
    configuration: tuple[CodeFinding, ...] = ()
    manifest: File | None = None
    journal: File | None = None
    specs: str = ""
    parts: PlugInParts = NO_PARTS

    @property
    def has_notes(self) -> bool:
        """Whether each run has to repeat a finding, even if there is no file to write."""
        return bool(self.warnings or self.extra or self.unused or self.configuration or self.contracts)

    @property
    def is_refused(self) -> bool:
        """Whether nothing may be generated from these specs."""
        return bool(self.problems) or any(finding.stops for finding in self.contracts)

    @property
    def edited(self) -> tuple[Finding, ...]:
        """The files that a person changed and that the generator would overwrite or remove."""
        return self._in_state(State.EDITED)

    @property
    def extra(self) -> tuple[Finding, ...]:
        """The unknown files in folders that belong to the generator."""
        return self._in_state(State.EXTRA)

    def _in_state(self, state: State) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.state is state)
