"""Checks of `server-jobs doctor` that plug-ins bring."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
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


def check_with_plug_ins(workspace: Workspace) -> Iterator[Finding]:
    """Run the checks of all plug-ins. A check that fails is a finding too."""
    for name in CHECKS.names():
        try:
            if (found := CHECKS.find(name)) is not None:
                yield from found.check(workspace)
        except Exception as error:  # noqa: BLE001  the code of others must not hide the other findings
            yield fail(f"the check of the plug-in {name} failed: {error!r}", "update the plug-in, or uninstall it")


def has_tables(workspace: Workspace) -> bool:
    """Whether the database has tables to examine, as far as the plug-ins know."""
    return not any(check.has_no_tables(workspace) for check in CHECKS.all())
