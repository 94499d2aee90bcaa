"""What a run found out, as a plain value: to be told, and to be carried out."""

from __future__ import annotations

from dataclasses import dataclass

from .contracts.finding import ContractFinding
from .files.changes import Finding, State
from .files.generated_file import File
from .problems.problem import SpecProblem
from .worker_lint.rules import CodeFinding


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """With `problems` there is nothing else in it but `advice` about them, since nothing may be generated then.

    `contracts` is what the specs break of what was released; with one that stops, nothing may be written either.
    `remarks` are about what they were compared with. `findings` are the files that are not as they should be, `unused`
    the handlers whose job is gone, `manifest` is the record to be written with them, `journal` the one to be written
    before them. `configuration` is what the files beside the Worker lack, which are the user's.
    """

    problems: tuple[SpecProblem, ...] = ()
    contracts: tuple[ContractFinding, ...] = ()
    remarks: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    unused: tuple[str, ...] = ()
    configuration: tuple[CodeFinding, ...] = ()
    manifest: File | None = None
    journal: File | None = None

    @property
    def has_notes(self) -> bool:
        """Whether there is something to tell again in each run, though nothing has to be written."""
        return bool(self.extra or self.unused or self.configuration or self.contracts)

    @property
    def is_refused(self) -> bool:
        """Whether nothing may be generated from these specs."""
        return bool(self.problems) or any(finding.stops for finding in self.contracts)

    @property
    def edited(self) -> tuple[Finding, ...]:
        """The files that a person changed and the generator would have to overwrite or remove."""
        return self._in_state(State.EDITED)

    @property
    def extra(self) -> tuple[Finding, ...]:
        """The files that nobody knows in folders that belong to the generator."""
        return self._in_state(State.EXTRA)

    def _in_state(self, state: State) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.state is state)
