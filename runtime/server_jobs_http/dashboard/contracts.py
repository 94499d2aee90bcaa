"""The registered jobs, their versions, and how many rows of each version wait."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from server_jobs.domain.options import JobOptions
from server_jobs.domain.statistics import QueueState
from server_jobs.registry import Registration
from starlette.responses import Response

from .numbers import all_states
from .rendering import show
from .visit import Visit


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractRow:
    """A job: `queued` counts its pending jobs, and `versions` has them by version, the newest first.

    `last_change` has a line for each difference between the params and results of the spec and of its last release.
    """

    name: str
    about: str
    options: JobOptions
    readable: tuple[int, ...]
    stubs: tuple[int, ...]
    state: str
    queued: int
    versions: tuple[tuple[int, int], ...]
    last_change: tuple[str, ...]


async def contracts(visit: Visit) -> Response:
    """Show the registered jobs, and names of stored jobs that are not registered here."""
    states = [state for state in await all_states(visit) if visit.reads(state.queue)]
    found = [one for one in visit.registry.registrations() if visit.reads(one.job.options.queue)]
    known = {one.job.job_name for one in found}
    others = sorted({state.job_name for state in states if not visit.registry.has(state.job_name)} - known)
    return show(visit, "contracts.html", rows=[_row(one, states) for one in found], others=others)


def _row(registration: Registration, states: Sequence[QueueState]) -> ContractRow:
    job = registration.job
    versions: Counter[int] = Counter()
    for state in states:
        if state.job_name == job.job_name:
            versions.update(dict(state.versions))
    return ContractRow(
        name=job.job_name,
        about=job.schemas().description,
        options=job.options,
        readable=registration.versions.readable,
        stubs=registration.versions.stubs,
        state=_state(registration),
        queued=versions.total(),
        versions=tuple(sorted(versions.items(), reverse=True)),
        last_change=job.last_change,
    )


def _state(registration: Registration) -> str:
    if registration.job.options.retired:
        return "retired"
    if registration.is_stub:
        return "stub"
    return "active" if registration.handler is not None else "enqueues only"
