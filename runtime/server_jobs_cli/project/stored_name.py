"""The name under which the jobs of a spec are stored."""

from __future__ import annotations

from server_jobs.errors import ServerJobsError

from ..console.output import note
from ..console.suggestion import suggestion
from .workspace import Workspace


def stored_name(workspace: Workspace, name: str) -> str:
    """Return the stored name of a job. A name that is not registered may be in the rows of another project."""
    try:
        registry = workspace.registry
    except ServerJobsError:
        return name
    job = registry.get(name)
    if job is None:
        note(f"no job is called {name!r} here; {suggestion(name, registry.get_names())}")
        return name
    return job.job_name
