"""The list of jobs: filters, search, pages, and actions on selected jobs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from server_jobs.domain.record import (
    TEXT_FILTERS,
    UNREADABLE,
    JobFilter,
    JobPreview,
    JobQuery,
    JobRecord,
    JobStatus,
    TextFilter,
)
from server_jobs.domain.statistics import QueueState
from server_jobs.domain.text_limits import is_storable
from server_jobs.engine.bulk import with_conditions
from server_jobs.errors import InvalidOptionError
from server_jobs.inspection.job_document import shown_params
from server_jobs.security.tokens import Scope
from starlette.responses import Response

from ..problem_document import RefusedError
from ..routes.jobs import search_page
from ..searching import steps_of
from .formats import compact_json, line
from .numbers import all_states
from .rendering import show
from .visit import Visit

PAGE = 50
_STATUSES = ("", "pending", "running", "failed", "parked", "completed", "cancelled")
_ID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


_POSSIBLE = {
    "pending": ("cancel", "delete"),
    "running": ("cancel",),
    "failed": ("retry", "delete"),
    "completed": ("delete",),
    "cancelled": ("retry", "delete"),
}
_CHANGES = ("retry", "cancel", "delete")
_WITH_OWN_FIELD = ("job_name", "correlation_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """The chosen filters, as texts of the address or of a form. An empty text chooses all.

    `where` is a condition such as `params.customerId=42`.
    """

    status: str = ""
    queue: str = ""
    where: str = ""
    texts: Mapping[str, str] = field(default_factory=dict[str, str])
    """The texts of `JobFilter` by the names of their options, such as `job`."""

    @classmethod
    def of(cls, value: Callable[[str], str]) -> Filters:
        """Return the filters whose values this function returns by name."""
        texts = {one.option: value(one.option) for one in TEXT_FILTERS.values()}
        return cls(status=value("status"), queue=value("queue"), where=value("where"), texts=texts)

    @property
    def job(self) -> str:
        """The name of the chosen job."""
        return self.texts.get("job", "")

    @property
    def more(self) -> Sequence[tuple[TextFilter, str]]:
        """The texts without a field of their own in the form, and their values."""
        found = TEXT_FILTERS.items()
        return [(one, self.texts.get(one.option, "")) for name, one in found if name not in _WITH_OWN_FIELD]

    @property
    def is_any(self) -> bool:
        """Whether any filter is chosen."""
        return bool(self.but())

    def but(self, **changes: str) -> dict[str, str]:
        """Return the query of an address with these filters and changes."""
        given = {"status": self.status, **self.texts, "queue": self.queue, "where": self.where, **changes}
        return {name: text for name, text in given.items() if text}

    def wanted(self, visit: Visit, scope: Scope) -> JobFilter:
        """Return the filter, for the queues for which the caller has the scope.

        Raises `InvalidOptionError` for texts that no job can have, and `RefusedError` for a queue of others.
        """
        if self.status not in {"", "parked", *JobStatus}:
            raise InvalidOptionError(f"there is no status {self.status!r}; statuses are {', '.join(JobStatus)}, parked")
        found = JobFilter(
            status=JobStatus(self.status) if self.status not in ("", "parked") else None,
            parked=self.status == "parked",
            queues=(self.queue,) if self.queue else visit.queues_for(scope),
        ).with_texts({name: self.texts.get(one.option) or None for name, one in TEXT_FILTERS.items()})
        if self.queue and not (visit.caller.may(scope, self.queue) and visit.reads(self.queue)):
            raise RefusedError(403, f"your token lacks the scope {scope} for the queue {self.queue!r}")
        if self.where.lstrip("/").startswith("params") and not self.job:
            raise InvalidOptionError("choose a job in the list `Job`: its spec says which params are secret")
        conditions = [self.where] if self.where else []
        return with_conditions(found, conditions, visit.registry, may_reveal=False) if conditions else found


FILTERS = ("status", "queue", "where", *(one.option for one in TEXT_FILTERS.values()))


def list_address(visit: Visit, query: str, note: str | None = None) -> str:
    """Return the address of the list with the filters and the place in a query."""
    known = {name: text for name, text in parse_qsl(query) if name in (*FILTERS, "parked", "before")}
    return visit.url("jobs", **known, note=note)


def filters_of(visit: Visit) -> Filters:
    """Return the filters in the address."""
    return Filters.of(lambda name: "parked" if name == "status" and visit.query("parked") else visit.query(name))


async def job_list(visit: Visit) -> Response:
    """Show a page of jobs, newest first. A search for an id shows that job."""
    wanted = visit.query("q")
    if wanted and (found := await _searched(visit, wanted)):
        return found
    filters, before = filters_of(visit), visit.query("before")
    states = [state for state in await all_states(visit) if visit.reads(state.queue)]
    jobs: Sequence[JobPreview | JobRecord] = ()
    following, problem = None, ""
    try:
        jobs, following = await _page(visit, filters, before)
    except (InvalidOptionError, RefusedError) as error:
        problem = str(error)
    return show(
        visit,
        "jobs.html",
        status=422 if problem else 200,
        filters=filters,
        before=before,
        problem=problem,
        jobs=[(job, _preview(visit, job)) for job in jobs],
        next=following,
        changes=_POSSIBLE.get(filters.status, _CHANGES),
        tabs=_tabs(states, filters),
        names=sorted({state.job_name for state in states} | _known_names(visit) | ({filters.job} - {""})),
        queues=sorted({state.queue for state in states} | _known_queues(visit) | ({filters.queue} - {""})),
    )


async def _page(visit: Visit, filters: Filters, before: str) -> tuple[Sequence[JobPreview | JobRecord], str | None]:
    """Return a page of jobs, and the place of the next page, or None."""
    among = filters.wanted(visit, Scope.READ)
    if not is_storable(before):
        raise InvalidOptionError("the page begins after no job")
    if among.where:
        async with steps_of(visit.request, among) as steps:
            return await search_page(visit.store, among, before, PAGE, visit.store.list_jobs, steps)
    found = await visit.store.find_page(JobQuery.of(among, before=before or None, limit=PAGE))
    return found.jobs, found.next


def _preview(visit: Visit, job: JobPreview | JobRecord) -> str:
    """Return the start of the error of a failed job, or else of its params as far as they may be seen."""
    if job.status is JobStatus.FAILED and job.error:
        return line(job.error.removeprefix(UNREADABLE))
    text = shown_params(job, visit.registry).text
    return "" if text is None or text == "{}" else line(compact_json(text))


async def _searched(visit: Visit, wanted: str) -> Response | None:
    """Go to the job with this id, or else to the jobs with this correlation id."""
    if is_storable(wanted):
        summary = await visit.store.summary(wanted.lower() if _ID.fullmatch(wanted.lower()) else wanted)
        if summary is not None and visit.reads(summary.queue):
            return visit.go("jobs", summary.id)
    return visit.go("jobs", correlation_id=wanted)


def _tabs(states: Sequence[QueueState], filters: Filters) -> list[tuple[str, str, int | None]]:
    """Return the value, label and count of each status, for the chosen job and queue.

    Finished jobs are too many to count for each page. With another filter, nothing is counted.
    """
    among = [one for one in states if filters.job in ("", one.job_name) and filters.queue in ("", one.queue)]
    counts = {
        "pending": sum(one.due + one.scheduled for one in among),
        "running": sum(one.running for one in among),
        "failed": sum(one.failed for one in among),
        "parked": sum(one.parked for one in among),
    }
    is_counted = filters.but().keys() <= {"status", "job", "queue"}
    return [(value, value.capitalize() or "All", counts.get(value) if is_counted else None) for value in _STATUSES]


def _known_names(visit: Visit) -> set[str]:
    found = visit.registry.registrations()
    return {registration.job.job_name for registration in found if visit.reads(registration.job.options.queue)}


def _known_queues(visit: Visit) -> set[str]:
    found = (registration.job.options.queue for registration in visit.registry.registrations())
    return {queue for queue in found if visit.reads(queue)}
