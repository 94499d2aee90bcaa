"""Tools that only read: jobs, queues, workers and specs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby

from server_jobs.domain.interfaces import Store
from server_jobs.domain.record import PausedQueue
from server_jobs.domain.statistics import QueueState
from server_jobs.errors import JobNotFoundError
from server_jobs.inspection.history_document import attempt_document, why_document, worker_document
from server_jobs.inspection.job_document import shown_job
from server_jobs.inspection.shell_command import Command, shell_command
from server_jobs.inspection.why import why
from server_jobs.registry import JobRegistry, Registration
from server_jobs_http.routes.jobs import ListParameters, page_of
from server_jobs_http.searching import Steps

from .tool import READS, Answer, Arguments, JobId, Nothing, SpecName, Tool, checked, misspelled


def reading_tools(store: Store, registry: JobRegistry, command: Command | None = None) -> list[Tool]:
    """Return the tools. `command` writes the actions in their advice."""
    reads = _Reads(store, registry, command or reading_command)
    return [
        Tool(
            name="list_jobs",
            description="List stored jobs that match every given field, newest first, without their data. "
            "Pass `next` of the answer as `before` to get the next page, also if a page is empty, until it is null.",
            input_schema=ListParameters.model_json_schema(),
            call=reads.list_jobs,
            effects=READS,
        ),
        Tool(
            name="show_job",
            description="Show one job: status, times, params, result, error, and the attempts that did not complete.",
            input_schema=JobId.model_json_schema(),
            call=reads.show_job,
            effects=READS,
        ),
        Tool(
            name="explain_job",
            description="Say why a job waits, runs or has ended, and what to do. The weightiest reason comes first.",
            input_schema=JobId.model_json_schema(),
            call=reads.explain_job,
            effects=READS,
        ),
        Tool(
            name="list_queues",
            description="List the queues: since when each is paused, and for each job how many are due, scheduled, "
            "running and failed. `failed` includes `parked`, the jobs whose params cannot be read.",
            input_schema=Nothing.model_json_schema(),
            call=reads.list_queues,
            effects=READS,
        ),
        Tool(
            name="list_workers",
            description="List the workers that are alive, and those that died within a week.",
            input_schema=Nothing.model_json_schema(),
            call=reads.list_workers,
            effects=READS,
        ),
        Tool(
            name="list_specs",
            description="List the kinds of jobs of this project, with description, queue and schedules.",
            input_schema=Nothing.model_json_schema(),
            call=reads.list_specs,
            effects=READS,
        ),
        Tool(
            name="show_spec",
            description="Show the JSON Schemas of the params and the result of one kind of job.",
            input_schema=SpecName.model_json_schema(),
            call=reads.show_spec,
            effects=READS,
        ),
    ]


def reading_command(action: str, /, *values: str) -> str:
    """Write an action of an advice as a call of a tool that reads, or as a command if there is none."""
    match action, values:
        case "list --batch", (batch_id,):
            return f"`list_jobs` with the batch_id {batch_id!r}"
        case _:
            return shell_command(action, *values)


class _Reads:
    """The functions of the tools."""

    def __init__(self, store: Store, registry: JobRegistry, command: Command) -> None:
        self._store = store
        self._registry = registry
        self._command = command

    async def list_jobs(self, arguments: Arguments) -> Answer:
        wanted = checked(ListParameters, arguments)
        queues = None if wanted.queue is None else (wanted.queue,)
        page = await page_of(self._store, wanted, wanted.among(self._registry, queues), Steps())
        return Answer(page, None if page["jobs"] else misspelled(self._registry, wanted))

    async def show_job(self, arguments: Arguments) -> Answer:
        job_id = checked(JobId, arguments).id
        record = await self._store.get(job_id)
        if record is None:
            raise JobNotFoundError(job_id)
        documents = [attempt_document(attempt) for attempt in await self._store.attempts(job_id)]
        return Answer({**shown_job(record, self._registry), "attempts": documents})

    async def explain_job(self, arguments: Arguments) -> Answer:
        job_id = checked(JobId, arguments).id
        record, reasons = await why(self._store, self._registry, job_id, command=self._command)
        return Answer(why_document(record, reasons))

    async def list_queues(self, arguments: Arguments) -> Answer:
        checked(Nothing, arguments)
        states, paused = await self._store.queue_states(), await self._store.paused_queues()
        own = {registration.job.options.queue for registration in self._registry.registrations()}
        return Answer({"queues": _queues(states, paused, own)})

    async def list_workers(self, arguments: Arguments) -> Answer:
        checked(Nothing, arguments)
        return Answer({"workers": [worker_document(worker) for worker in await self._store.workers()]})

    async def list_specs(self, arguments: Arguments) -> Answer:
        checked(Nothing, arguments)
        return Answer({"specs": [_spec(one) for one in self._registry.registrations() if one.job.enqueued_by is None]})

    async def show_spec(self, arguments: Arguments) -> Answer:
        registration = self._registry.find(checked(SpecName, arguments).job_name)
        schemas = registration.job.schemas()
        return Answer({**_spec(registration), "params": schemas.params, "result": schemas.result})


def _queues(states: Sequence[QueueState], paused: Sequence[PausedQueue], own: set[str]) -> list[dict[str, object]]:
    """Return the queues that have jobs, that are paused, or that this project uses."""
    ordered = sorted(states, key=lambda state: (state.queue, state.job_name))
    found = {queue: list(jobs) for queue, jobs in groupby(ordered, key=lambda state: state.queue)}
    since = {queue.name: queue.paused_at for queue in paused}
    return [
        {
            "queue": queue,
            "paused_since": since.get(queue),
            "jobs": [{key: value for key, value in asdict(state).items() if key != "queue"} for state in found[queue]]
            if queue in found
            else [],
        }
        for queue in sorted(own | found.keys() | since.keys())
    ]


def _spec(registration: Registration) -> dict[str, object]:
    job = registration.job
    schedules = [{"name": one.name, "cron": one.cron, "timezone": one.timezone} for one in job.schedules]
    return {
        "job_name": job.job_name,
        "description": job.schemas().description,
        "spec_version": job.options.version,
        "queue": job.options.queue,
        "retired": job.options.retired,
        "has_handler": registration.is_runnable,
        "schedules": schedules,
    }
