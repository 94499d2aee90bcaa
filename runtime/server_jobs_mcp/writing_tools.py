"""Tools that change stored jobs and queues."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from server_jobs.domain.interfaces import Store
from server_jobs.engine.bulk import BulkAction
from server_jobs.registry import JobRegistry
from server_jobs_cli.console.workspace import user
from server_jobs_cli.jobs.queues import unknown_queue
from server_jobs_cli.jobs.retry_cancel_repair import Answer as Changed
from server_jobs_cli.jobs.retry_cancel_repair import cancel_all, retry_all
from server_jobs_http.problem_document import RefusedError
from server_jobs_http.routes.bulk import BulkBody, bulk_document, change_part
from server_jobs_http.searching import Steps

from .reading_tools import reading_command
from .tool import Answer, Arguments, Effects, JobId, QueueName, Tool, checked, misspelled

_RETRIES = Effects(is_destructive=True, is_open=True)
"""A job that runs again may do anything, as in its first attempt."""

_CANCELS = Effects(is_destructive=True, is_idempotent=True)
_SWITCHES = Effects(is_idempotent=True)
_PARTS = (
    "One call looks at a part of the jobs: pass `next` of the answer as `after` to continue, until it is null. "
    "With `dry_run`, only count them. At least one field has to choose the jobs."
)


AGENT = f"agent:{user()}"
"""Who changed a job, in the audit log: an agent, with the user whose process it runs in."""


def tool_command(action: str, /, *values: str) -> str:
    """Write an action of an advice as a call of a tool, or as a command if there is no tool for it."""
    match action, values:
        case "retry", (job_id,):
            return f"`retry_job` with the id {job_id!r}"
        case "resume", (queue,):
            return f"`resume_queue` with the queue {queue!r}"
        case _:
            return reading_command(action, *values)


def writing_tools(store: Store, registry: JobRegistry) -> list[Tool]:
    """Return the tools."""
    writes = _Writes(store, registry)
    return [
        Tool(
            name="retry_job",
            description="Put a failed or cancelled job back in its queue, with all its attempts.",
            input_schema=JobId.model_json_schema(),
            call=writes.retry_job,
            effects=_RETRIES,
        ),
        Tool(
            name="cancel_job",
            description="Cancel a pending job at once, or ask a running job to stop.",
            input_schema=JobId.model_json_schema(),
            call=writes.cancel_job,
            effects=_CANCELS,
        ),
        Tool(
            name="retry_jobs",
            description="Put the failed jobs that match every given field back in their queues, or those in the given "
            f"status. {_PARTS}",
            input_schema=BulkBody.model_json_schema(),
            call=writes.retry_jobs,
            effects=_RETRIES,
        ),
        Tool(
            name="cancel_jobs",
            description="Cancel the pending jobs that match every given field, and ask the running ones to stop. "
            f"{_PARTS}",
            input_schema=BulkBody.model_json_schema(),
            call=writes.cancel_jobs,
            effects=_CANCELS,
        ),
        Tool(
            name="pause_queue",
            description="Stop workers from claiming jobs of a queue until it is resumed. Running jobs continue.",
            input_schema=QueueName.model_json_schema(),
            call=writes.pause_queue,
            effects=_SWITCHES,
        ),
        Tool(
            name="resume_queue",
            description="Let workers claim jobs of a queue again.",
            input_schema=QueueName.model_json_schema(),
            call=writes.resume_queue,
            effects=_SWITCHES,
        ),
    ]


class _Writes:
    """The functions of the tools. The audit log names an agent of the user of this process."""

    def __init__(self, store: Store, registry: JobRegistry) -> None:
        self._store = store
        self._registry = registry

    async def retry_job(self, arguments: Arguments) -> Answer:
        (changed,) = await retry_all(self._store, [checked(JobId, arguments).id], by=AGENT)
        return _answer(changed)

    async def cancel_job(self, arguments: Arguments) -> Answer:
        (changed,) = await cancel_all(self._store, [checked(JobId, arguments).id], by=AGENT)
        return _answer(changed)

    async def retry_jobs(self, arguments: Arguments) -> Answer:
        return await self._change(BulkAction.RETRY, arguments)

    async def cancel_jobs(self, arguments: Arguments) -> Answer:
        return await self._change(BulkAction.CANCEL, arguments)

    async def pause_queue(self, arguments: Arguments) -> Answer:
        return await self._switch(self._store.pause_queue, arguments, paused=True)

    async def resume_queue(self, arguments: Arguments) -> Answer:
        return await self._switch(self._store.resume_queue, arguments, paused=False)

    async def _change(self, action: BulkAction, arguments: Arguments) -> Answer:
        body = checked(BulkBody, arguments)
        among = body.among(self._registry, None if body.queue is None else (body.queue,))
        result = await change_part(self._store, action, body, among, Steps(), by=AGENT)
        remark = None if result.found else misspelled(self._registry, body)
        return Answer(bulk_document(result, dry_run=body.dry_run), remark)

    async def _switch(self, switch: Callable[..., Awaitable[bool]], arguments: Arguments, *, paused: bool) -> Answer:
        queue = checked(QueueName, arguments).queue
        changed = await switch(queue, by=AGENT)
        return Answer({"queue": queue, "paused": paused, "changed": changed}, unknown_queue(self._registry, queue))


def _answer(changed: Changed) -> Answer:
    if not changed.ok:
        raise RefusedError(409, changed.outcome)
    return Answer({"id": changed.id, "outcome": changed.outcome})
