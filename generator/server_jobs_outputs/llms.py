"""The jobs as `llms.txt`, for language models: a title, a summary, how to enqueue, and lists of links with notes."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence

from server_jobs.project import Project
from server_jobs_generator.ir.spec import JobSpec

from .catalogue.entries import Entry, entries_of
from .catalogue.pages import code_span, first_paragraph, plain
from .catalogue.schema_words import json_shown, listed
from .catalogue.tables import Table

_DOCUMENTS = {
    "catalogue": "[Catalogue](catalogue.md): every job with its options, properties and examples",
    "openapi": "[OpenAPI](openapi.json): the HTTP routes, with the params of every job",
    "asyncapi": "[AsyncAPI](asyncapi.json): a channel for each queue, with the params and result of every job",
    "typescript": "[TypeScript](jobs.ts): types of every job, and a client for the HTTP routes",
}


def llms_text(project: Project, jobs: Sequence[JobSpec]) -> str:
    """Return the file. Its lists link to the specs, and to the other outputs of the project."""
    entries = list(zip(jobs, entries_of(jobs), strict=True))
    active = [_line(project, job, entry) for job, entry in entries if not entry.is_retired]
    retired = [_line(project, job, entry) for job, entry in entries if entry.is_retired]
    documents = [f"- {line}" for word, line in _DOCUMENTS.items() if word in project.outputs]
    blocks = [f"# {plain(project.name) or 'Background jobs'}", *_introduction(project)]
    # A reader with little room leaves out the section that the format calls `Optional`.
    for title, lines in (("Jobs", active), ("Contracts", documents), ("Optional", retired)):
        blocks += [f"## {title}", "\n".join(lines)] if lines else []
    return "\n\n".join(blocks) + "\n"


def _introduction(project: Project) -> Iterator[str]:
    yield (
        "> The background jobs of this project. A JSON Schema describes the params and the result of each job. "
        "Params that do not fit are refused."
    )
    yield "Ways to enqueue the job NAME with PARAMS, a JSON object:"
    yield "\n".join(
        (
            f"- Python: `from {project.output_package}.jobs import NAME`, then `await NAME.later(PARAMS)`",
            "- Command line: `server-jobs enqueue NAME --params 'PARAMS'`",
            '- HTTP: `POST /_jobs/jobs/NAME` with `Authorization: Bearer TOKEN` and the body `{"params": PARAMS}`',
            "- MCP: the tool `NAME` of `server-jobs mcp --allow-writes`",
        )
    )
    yield "`server-jobs show ID` prints the status and the result of a stored job."


def _line(project: Project, job: JobSpec, entry: Entry) -> str:
    spec = posixpath.relpath(job.path, f"{project.output}/contracts")
    about = first_paragraph(entry.description)
    end = "." if about and not about.endswith((".", "!", "?")) else ""
    return f"- [{entry.name}]({spec}): {' '.join(filter(None, (f'{about}{end}', *_notes(job, entry))))}"


def _notes(job: JobSpec, entry: Entry) -> Iterator[str]:
    if entry.is_retired:
        yield "Retired: it cannot be enqueued."
    if entry.is_deprecated:
        yield "Deprecated."
    yield f"Params: {_params(entry.tables[0])}."
    for label, value in entry.facts:
        if label == "Queue" or label.startswith("Schedule "):
            yield f"{plain(label)}: {code_span(value)}."
    for example in listed(job.params, "examples")[:1]:
        yield f"Example of params: {code_span(json_shown(example))}."


def _params(table: Table) -> str:
    """Return each property with its type. Without properties, return the constraints of the whole schema."""
    rows = [f"{code_span(row.name)} ({plain(row.type)}{', required' * row.is_required})" for row in table.rows]
    return ", ".join(rows) or plain(table.summary) or "none"
