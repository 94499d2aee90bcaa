"""Checks of `server-jobs doctor` that plug-ins bring."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from server_jobs.plug_ins import Seam

from ..console.workspace import Workspace
from .findings import Finding, fail


def _never(_: Workspace) -> bool:
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorCheck:
    """A check of `doctor`: an entry point of the group `server_jobs.doctor_checks`."""

    check: Callable[[Workspace], Iterable[Finding]]
    """Examine the project and its database."""
    has_no_tables: Callable[[Workspace], bool] = _never
    """Whether the URL of the database names something without tables, so that `doctor` does not examine it."""


CHECKS: Seam[DoctorCheck] = Seam(
    "server_jobs.doctor_checks", "a `DoctorCheck`", lambda value: isinstance(value, DoctorCheck)
)


def check_with_plug_ins(workspace: Workspace) -> tuple[list[Finding], bool]:
    """Run the checks of all plug-ins. Return their findings, and whether the database has tables to examine.

    A check that cannot be imported or that fails is a finding too.
    """
    findings: list[Finding] = []
    has_tables = True
    for name in CHECKS.names():
        try:
            if (found := CHECKS.find(name)) is not None:
                findings += found.check(workspace)
                has_tables = has_tables and not found.has_no_tables(workspace)
        except Exception as error:  # noqa: BLE001  the code of others must not hide the other findings
            findings.append(
                fail(f"the check {name} of a plug-in failed: {error}", "update the plug-in, or uninstall it")
            )
    return findings, has_tables
