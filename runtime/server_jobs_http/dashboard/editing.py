"""Forms that enqueue a job or repair a parked one. Params are validated as for every other caller."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import chain

from pydantic import JsonValue, ValidationError
from server_jobs.contract.values import pointer_to
from server_jobs.definition import AnyDefinition
from server_jobs.domain.enqueue_options import ENQUEUE_OPTIONS
from server_jobs.domain.record import JobRecord, Repair
from server_jobs.errors import (
    DuplicateJobError,
    InvalidOptionError,
    InvalidParamsError,
    JobNotFoundError,
    JobNotOfferedError,
    JobNotRepairableError,
    JobRetiredError,
    Problem,
)
from server_jobs.inspection.job_document import parsed, shown_params
from starlette.responses import Response

from ..problem_document import RefusedError
from ..routes.enqueuing import EnqueueBody
from .fields import fields_of
from .form_values import Filled, document_of, placed, texts_of
from .rendering import show
from .visit import Visit

_OPTIONS = tuple(ENQUEUE_OPTIONS)
_HINTS = {
    "delay": "A duration, such as PT5M or P1D.",
    "scheduled_for": "Such as 2026-01-31T09:00:00Z.",
    "expires_after": "A duration, such as PT10M.",
}
_WITH_DEFAULT = ("priority", "max_attempts", "on_conflict")
_WHOLE = ("priority", "max_attempts")
_REFUSALS = (InvalidOptionError, JobRetiredError, JobNotOfferedError, DuplicateJobError, JobNotRepairableError)


async def choose(visit: Visit) -> Response:
    """Show the jobs that the caller may enqueue."""
    found = [job for job in visit.registry.offered() if visit.enqueues(job.options.queue)]
    jobs = [(job.job_name, job.schemas().description, job.options) for job in found]
    return show(visit, "choose.html", jobs=jobs)


async def new(visit: Visit) -> Response:
    """Show the form of a job, filled with the example of its spec."""
    job = _job(visit)
    root = fields_of(job.schemas().params)
    return _show_new(visit, job, Filled(root, texts_of(root, _example(job))))


async def enqueue(visit: Visit) -> Response:
    """Validate a form and store a job, or show its problems."""
    job = _job(visit)
    root = fields_of(job.schemas().params)
    document, texts, found = document_of(root, visit.form)
    options: dict[str, JsonValue] = {name: text for name in _OPTIONS if (text := visit.value(name).strip())}
    for name in _WHOLE:
        text = str(options.get(name, ""))
        if text.removeprefix("-").isdecimal():
            options[name] = int(text[:20])
    problems: Sequence[Problem] = found
    option_problems: dict[str, str] = {}
    if not found:
        try:
            body = EnqueueBody.model_validate_json(json.dumps({"params": document, **options}))
            inserted = await visit.insert(job.new_job(body.params, **body.options()))
        except ValidationError as error:
            details = error.errors(include_url=False, include_input=False, include_context=False)
            located = [Problem(pointer_to(one["loc"]), one["msg"]) for one in details]
            option_problems = {one.pointer.strip("/"): one.message for one in located}
            problems = [one for one in located if one.pointer.strip("/") not in _OPTIONS]
        except InvalidParamsError as error:
            problems = error.problems
        except RecursionError:
            problems = [Problem("", "the params are nested too deeply")]
        except _REFUSALS as error:
            problems = [Problem("", str(error))]
        else:
            return visit.go("jobs", inserted.id, note="enqueued" if inserted.created else "known")
    at_fields, general = placed(root, problems)
    return _show_new(visit, job, Filled(root, texts, at_fields, general), option_problems, status=422)


async def repair_form(visit: Visit) -> Response:
    """Show the params of a parked job for editing. Redacted values are left empty."""
    record, job = await _parked(visit)
    root = fields_of(job.schemas().params)
    shown = shown_params(record, visit.registry)
    texts = {} if shown.text is None else texts_of(root, _json(parsed(shown.text)), job.options.redact)
    return _show_repair(visit, record, job, Filled(root, texts), shown.reason or "")


async def repair(visit: Visit) -> Response:
    """Validate a form and replace the params of a parked job, or show its problems."""
    record, job = await _parked(visit)
    if visit.value("read") != _fingerprint(record):
        raise RefusedError(409, "the job changed since this form was loaded; load it again")
    root = fields_of(job.schemas().params)
    document, texts, found = document_of(root, visit.form)
    problems: Sequence[Problem] = found
    if not found:
        try:
            made = job.new_job(document)
            await visit.store.repair(
                Repair(
                    instead_of=record,
                    params=made.params,
                    spec_version=made.spec_version,
                    concurrency_key=made.concurrency_key,
                    rate_key=made.rate_key,
                ),
                by=visit.actor,
            )
        except InvalidParamsError as error:
            problems = error.problems
        except _REFUSALS as error:
            problems = [Problem("", str(error))]
        else:
            return visit.go("jobs", record.id, note="repaired")
    at_fields, general = placed(root, problems)
    return _show_repair(visit, record, job, Filled(root, texts, at_fields, general), "", status=422)


def _job(visit: Visit) -> AnyDefinition:
    """Return the job in the path.

    Raises `UnknownJobError`, `JobNotOfferedError`, or `RefusedError` if the caller may not enqueue it.
    """
    job = visit.registry.find(visit.request.path_params["name"]).job
    visit.check_enqueues(job.options)
    if job.enqueued_by is not None:
        raise JobNotOfferedError(job.job_name, job.enqueued_by)
    return job


async def _parked(visit: Visit) -> tuple[JobRecord, AnyDefinition]:
    job_id: str = visit.request.path_params["id"]
    record = await visit.store.get(job_id)
    if record is None or not visit.reads(record.queue):
        raise JobNotFoundError(job_id)
    visit.check_operates(record.queue)
    if not record.is_parked:
        raise RefusedError(409, "only a parked job can be repaired")
    return record, visit.registry.find(record.job_name).job


def _fingerprint(record: JobRecord) -> str:
    """Return a text that changes with the job."""
    return record.updated_at.isoformat()


def _example(job: AnyDefinition) -> JsonValue:
    examples = job.schemas().params.get("examples")
    return examples[0] if isinstance(examples, list) and examples else {}


def _json(value: object) -> JsonValue:
    document: JsonValue = json.loads(json.dumps(value))
    return document


def _show_new(
    visit: Visit,
    job: AnyDefinition,
    filled: Filled,
    option_problems: dict[str, str] | None = None,
    *,
    status: int = 200,
) -> Response:
    return show(
        visit,
        "new.html",
        status=status,
        job=job,
        about=job.schemas().description,
        filled=filled,
        option_problems=option_problems or {},
        options={name: visit.value(name) for name in _OPTIONS},
        about_options=[(name, name.replace("_", " ").capitalize(), _about(job, name)) for name in _OPTIONS],
        count=_count(filled) + len(option_problems or {}),
    )


def _about(job: AnyDefinition, name: str) -> str:
    """Return the words for an option: how to write it, and its value if the form does not give one."""
    default = f"Now {getattr(job.options, name)}." if name in _WITH_DEFAULT else ""
    return " ".join(filter(None, (ENQUEUE_OPTIONS[name].about, _HINTS.get(name), default)))


def _show_repair(
    visit: Visit, record: JobRecord, job: AnyDefinition, filled: Filled, hidden: str, *, status: int = 200
) -> Response:
    return show(
        visit,
        "repair.html",
        status=status,
        job=record,
        definition=job,
        filled=filled,
        hidden=hidden,
        read=_fingerprint(record),
        count=_count(filled),
    )


def _count(filled: Filled) -> int:
    return len(list(chain(*filled.problems.values()))) + len(filled.general)
