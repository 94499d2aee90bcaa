"""Checks of `server-jobs doctor` for a Worker with one store per tenant: which tenants are behind."""

from __future__ import annotations

from collections.abc import Iterator

from server_jobs.errors import ServerJobsError
from server_jobs_cli.console.workspace import Workspace
from server_jobs_cli.doctor.findings import Finding, fail, ok, warn
from server_jobs_cli.doctor.plug_ins import DoctorCheck
from server_jobs_cli.plain_sql import newest_revisions, plain_revisions

from .settings import has_tenants
from .tenants import count_tenants, tenants_place


def _check_tenants(workspace: Workspace) -> Iterator[Finding]:
    """Compare the revisions of the tenants with the deployed Worker, and the Worker with the project."""
    try:
        place = tenants_place(workspace)
        project = workspace.project
    except ServerJobsError:
        return  # other checks report it
    if place is None:
        if project is not None and has_tenants(project):
            yield warn(
                "the tenants are not checked: the database is not the address of a Worker with tenants",
                "set SERVER_JOBS_DATABASE_URL to one such as https://jobs.example.com/_jobs/tenants, and JOBS_TOKEN",
            )
        return
    try:
        counts = count_tenants(place)
    except ServerJobsError as error:
        yield fail(str(error), "check the address and JOBS_TOKEN")
        return
    if counts.behind:
        yield warn(
            f"{counts.behind} of {counts.total} tenants are behind the newest revision ({counts.version})",
            "each runs it at its next call, and the Worker calls up to 100 of them each minute",
        )
    else:
        yield ok(f"the Worker has {counts.total} tenants, all at the newest revision ({counts.version})")
    newest = ", ".join(sorted(newest_revisions(plain_revisions(workspace)))) if project is not None else counts.version
    if newest != counts.version:
        yield warn(f"the deployed Worker has the revision {counts.version}, and the project has {newest}", "deploy it")


def _is_all_tenants(workspace: Workspace) -> bool:
    """Whether the database is the address of all tenants, which has no tables."""
    try:
        return tenants_place(workspace) == workspace.url.rstrip("/")
    except ServerJobsError:
        return False


TENANTS = DoctorCheck(check=_check_tenants, has_no_tables=_is_all_tenants)
