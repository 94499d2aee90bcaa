"""Retry, cancel and delete jobs: one, or several selected ones, each after a page that asks."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from server_jobs.domain.record import Cancellation, Deletion, JobSummary, Retrial
from server_jobs.domain.search import FindStep
from server_jobs.domain.text_limits import is_storable
from server_jobs.engine.bulk import BulkAction, BulkResult, change_page
from server_jobs.errors import JobNotFoundError
from server_jobs.security.tokens import Scope
from starlette.responses import RedirectResponse, Response

from ..problem_document import RefusedError
from ..searching import steps_of
from .job_list import Filters, list_address
from .numbers import summaries_of
from .rendering import results_in, results_note, show
from .visit import NO_STORE, Visit

MOST_SELECTED = 200
_COUNT_SECONDS = 1.0
_CHANGE_SECONDS = 20.0
_MOST_STEPS = 100_000  # these requests are limited by time alone


@dataclass(frozen=True, slots=True)
class Action:
    """A change of a job. `question` is about one job, `effect` says what happens."""

    name: str
    label: str
    question: str
    effect: str
    is_destructive: bool = False


ACTIONS = {
    action.name: action
    for action in (
        Action(
            "retry",
            "Retry",
            "Retry this job?",
            "Failed and cancelled jobs become pending again, and start anew with attempt 1.",
        ),
        Action("repair", "Repair", "Repair this job?", "Its params are replaced, and it becomes pending again."),
        Action(
            "cancel",
            "Cancel",
            "Cancel this job?",
            "A pending job is cancelled at once. A running job is asked to stop; if its handler finishes first, the "
            "job is completed.",
            is_destructive=True,
        ),
        Action(
            "delete",
            "Delete",
            "Delete this job?",
            "Its params, result and attempts are deleted. This cannot be undone.",
            is_destructive=True,
        ),
    )
}
_CHANGES = ("retry", "cancel", "delete")


async def ask(visit: Visit) -> Response:
    """Show the page that asks before one job changes."""
    action, job_id = _chosen(visit.request.path_params["action"]), visit.request.path_params["id"]
    summary = await _summary(visit, job_id)
    return show(visit, "confirm.html", action=action, jobs=[summary], back=visit.url("jobs", job_id), is_one=True)


async def change(visit: Visit) -> Response:
    """Change one job, and show it again, or the list if it is deleted."""
    action, job_id = _chosen(visit.request.path_params["action"]), visit.request.path_params["id"]
    await _summary(visit, job_id)
    outcome = await _change(visit, action, job_id)
    if outcome not in _DONE:
        raise RefusedError(409, outcome)
    return visit.go("jobs", note="deleted") if outcome == "deleted" else visit.go("jobs", job_id, note=outcome)


async def change_several(visit: Visit) -> Response:
    """Ask before selected jobs or all jobs of a filter change. With the answer, change them and show the list again."""
    return await (_change_all(visit) if visit.value("all") else _change_selected(visit))


async def _change_all(visit: Visit) -> Response:
    action = _chosen(visit.value("all"))
    filters = Filters.of(lambda name: visit.value(name).strip())
    change = BulkAction(action.name)
    among = change.among(filters.wanted(visit, Scope.ADMIN))
    is_confirmed = bool(visit.value("confirmed"))
    if not is_storable(visit.value("after")):
        raise RefusedError(422, "the change continues after no job")
    result = BulkResult(after=visit.value("after"))
    ends = time.monotonic() + (_CHANGE_SECONDS if is_confirmed else _COUNT_SECONDS)
    async with steps_of(visit.request, among, most=_MOST_STEPS) as steps:
        while result.after is not None and time.monotonic() < ends and steps.may_go_on():
            step = FindStep(filter=among, after=result.after)
            await change_page(visit.store, change, step, result, by=visit.actor, dry_run=not is_confirmed)
    if result.results[Retrial.RETRIED]:
        _wake(visit)
    results = result.results + results_in(visit.value("results"))
    if is_confirmed and result.after is None:
        return visit.go("jobs", **filters.but(), note=results_note(results))
    return show(
        visit,
        "matching.html",
        action=action,
        filters=filters,
        is_confirmed=is_confirmed,
        found=sorted(result.found.items()),
        count=(results if is_confirmed else result.found).total(),
        results=results,
        results_note=results_note(results),
        after=result.after,
        back=visit.url("jobs", **filters.but()),
    )


async def _change_selected(visit: Visit) -> Response:
    action = _chosen(visit.value("action"))
    selected = list(dict.fromkeys(visit.form.get("id", ())))[:MOST_SELECTED]
    query = visit.value("back")
    back = list_address(visit, query)
    if not selected:
        return show(visit, "nothing_selected.html", action=action, back=back, status=400)
    if not visit.value("confirmed"):
        jobs = [await _summary(visit, job_id) for job_id in selected]
        return show(visit, "confirm.html", action=action, jobs=jobs, back=back, is_one=False)
    stored = await summaries_of(visit, selected)
    ids = [one.id for one in stored.values() if visit.reads(one.queue)]
    for job_id in ids:
        visit.check_operates(stored[job_id].queue)
    results = Counter(str(one) for one in await _change_ids(visit, action, ids))
    results += Counter({Retrial.NOT_FOUND.value: len(selected) - len(ids)})
    if results[Retrial.RETRIED]:
        _wake(visit)
    return RedirectResponse(list_address(visit, query, results_note(results)), 303, NO_STORE)


async def _change_ids(visit: Visit, action: Action, ids: Sequence[str]) -> Sequence[StrEnum]:
    match action.name:
        case "retry":
            return await visit.store.retry_many(ids, by=visit.actor)
        case "cancel":
            return await visit.store.cancel_many(ids, by=visit.actor)
        case _:
            return await visit.store.delete(ids, by=visit.actor)


_DONE = ("retried", "cancelled", "requested", "deleted")


def _chosen(name: str) -> Action:
    if name not in _CHANGES:
        raise RefusedError(404, "there is no such action")
    return ACTIONS[name]


async def _summary(visit: Visit, job_id: str) -> JobSummary:
    """Return a job that the caller may change. Raises `JobNotFoundError` or `RefusedError`."""
    summary = await visit.store.summary(job_id)
    if summary is None or not visit.reads(summary.queue):
        raise JobNotFoundError(job_id)
    visit.check_operates(summary.queue)
    return summary


async def _change(visit: Visit, action: Action, job_id: str) -> str:
    """Change a job. Return the name of the outcome, or why nothing was changed."""
    match action.name:
        case "retry":
            await visit.store.retry(job_id, by=visit.actor)
            _wake(visit)
            return "retried"
        case "cancel":
            outcome = await visit.store.cancel(job_id, by=visit.actor)
            return "the job is finished already" if outcome is Cancellation.FINISHED else outcome.value
        case _:
            (deletion,) = await visit.store.delete([job_id], by=visit.actor)
            return _deletion(deletion, job_id)


def _deletion(deletion: Deletion, job_id: str) -> str:
    match deletion:
        case Deletion.DELETED:
            return "deleted"
        case Deletion.RUNNING:
            return "the job is running; cancel it, and delete it once it has stopped"
        case Deletion.NOT_FOUND:
            raise JobNotFoundError(job_id)


def _wake(visit: Visit) -> None:
    """Let the workers of this process claim at once."""
    for notify in visit.backend.inserted:
        notify()
