"""Checks of a spec's frame: title, description, and the schemas `params` and `result`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import PurePosixPath

from pydantic import JsonValue

from ..options.places import all_options
from ..options.table import OPTIONS, option_meant
from ..problems.problem import did_you_mean, listed, nearest, shown
from ..problems.rules import NAME_NOT_USABLE, SPEC_FRAME, UNKNOWN_KEY
from ..python.names import class_name_problem, pascal_case, snake_case, spec_name_problem
from ..read.document import Document, Pointer
from ..read.keywords import ADVICE, DEFINITIONS, value_problem
from ..read.spec_forms import JOBS, SHARED_BY_JOBS
from .schema_lint import SchemaLint

PARAMS: Pointer = ("properties", "params")
RESULT: Pointer = ("properties", "result")
PARTS = ("params", "result")

FRAME = (
    *("$schema", "$comment", "title", "description", "x-job", "type", "properties", "required"),
    *("additionalProperties", "$defs", "definitions"),
)
_INSTEAD: Mapping[str, str] = {
    **dict.fromkeys(("$id", "id", "$anchor"), "a spec is identified by the name of its file; remove it"),
    **dict.fromkeys(PARTS, "it belongs into properties, as the spec has them"),
    "name": "the name of a job is its title",
}
_JOBS_FRAME = ("$comment", "description", JOBS, *SHARED_BY_JOBS)


def class_name_of(document: Document, spec_name: str) -> str:
    """Return the job's name: the title, or the file's stem in Pascal case."""
    title = document.value.get("title") if isinstance(document.value, dict) else None
    return title if isinstance(title, str) else pascal_case(spec_name)


def description_of(document: Document) -> str | None:
    """Return the description of the job, or None."""
    text = document.value.get("description") if isinstance(document.value, dict) else None
    return text if isinstance(text, str) and text.strip() else None


def lint_job(lint: SchemaLint, spec_name: str) -> None:
    """Check everything in a job's spec except references and `x-job`."""
    _lint_names(lint, spec_name)
    root = lint.document.value
    if not isinstance(root, dict):
        lint.note((), SPEC_FRAME, f"a spec is an object with params and result, not {shown(root)}")
        return
    for key, value in root.items():
        if key not in FRAME:
            message = f"{shown(key)} is not accepted at the top of a spec{_what_instead(key)}"
            lint.note((key,), UNKNOWN_KEY, message, at_key=True)
        elif key == "$schema":
            lint.check_dialect((key,), value)
        elif key in ("$comment", "description") and (mistake := value_problem(key, value)):
            lint.note((key,), *mistake)
        elif key in DEFINITIONS:
            lint.check_named((key,), value)
        elif key == "additionalProperties" and not isinstance(value, bool):
            lint.note((key,), SPEC_FRAME, f"must be true or false at the top of a spec, not {shown(value)}")
    if root.get("type") != "object":
        lint.note(("type",), SPEC_FRAME, 'a spec must state "type": "object" at the top')
    _lint_parts(lint, root.get("properties", {}), root.get("required", []))
    lint.check_elsewhere()


def lint_jobs(lint: SchemaLint) -> None:
    """Check the frame of a file with several jobs, without its jobs."""
    root = lint.document.value
    if not isinstance(root, dict):
        raise TypeError(f"{lint.document.path} has no jobs")
    for key, value in root.items():
        if key not in _JOBS_FRAME:
            meant = "it belongs into the job" if key in (*FRAME, *PARTS) else f"use {listed(_JOBS_FRAME)}"
            lint.note((key,), UNKNOWN_KEY, f"{shown(key)} is not accepted beside jobs; {meant}", at_key=True)
        elif key in ("$comment", "description") and (mistake := value_problem(key, value)):
            lint.note((key,), *mistake)
    jobs = root[JOBS]
    if not isinstance(jobs, dict) or not jobs:
        message = f'must be an object with a job by its name, such as {{"SendEmail": {{…}}}}, not {shown(jobs)}'
        lint.note((JOBS,), SPEC_FRAME, message)
        return
    for name, job in jobs.items():
        if not isinstance(job, dict):
            message = f"a job is an object with params and result, not {shown(job)}"
            lint.note((JOBS, name), SPEC_FRAME, message)
            continue
        for key in job.keys() & {"title", *SHARED_BY_JOBS}:
            where = "the name of the job is its key" if key == "title" else f"put {key} beside jobs, for all of them"
            lint.note((JOBS, name, key), UNKNOWN_KEY, f"{shown(key)} is not accepted here: {where}", at_key=True)


def lint_definitions(lint: SchemaLint) -> None:
    """Check the definitions beside the jobs of a file."""
    root = lint.document.value
    for key, value in root.items() if isinstance(root, dict) else ():
        if key == "$schema":
            lint.check_dialect((key,), value)
        else:
            lint.check_named((key,), value)
    lint.check_elsewhere()


def lint_shared(lint: SchemaLint) -> None:
    """Check a file of shared definitions: a schema."""
    lint.check((), lint.document.value)
    lint.check_elsewhere()


def _lint_names(lint: SchemaLint, spec_name: str) -> None:
    if problem := spec_name_problem(spec_name):
        usable = snake_case(pascal_case(spec_name))
        file = PurePosixPath(lint.document.path)
        meant = did_you_mean(None if spec_name_problem(usable) else f"{usable}{file.suffix}")
        what = f"the file's name {shown(file.name)}" if file.stem == spec_name else f"the id {shown(spec_name)}"
        lint.note((), NAME_NOT_USABLE, f"{what} does not name a job: {problem}{meant}")
    title = lint.document.value.get("title") if isinstance(lint.document.value, dict) else None
    if title is None:
        if class_problem := None if spec_name_problem(spec_name) else class_name_problem(pascal_case(spec_name)):
            message = f"the name {shown(pascal_case(spec_name))} made of the file's name: {class_problem}; set title"
            lint.note((), NAME_NOT_USABLE, message)
    elif not isinstance(title, str):
        lint.note(("title",), NAME_NOT_USABLE, f"must be the name of the job such as SendEmail, not {shown(title)}")
    elif title_problem := class_name_problem(title):
        meant = did_you_mean(None if class_name_problem(pascal_case(title)) else pascal_case(title))
        message = f"the title {shown(title)} does not name a job: {title_problem}{meant}"
        lint.note(("title",), NAME_NOT_USABLE, message)


def _what_instead(key: str) -> str:
    if key in ADVICE or key in _INSTEAD:
        return f": {_INSTEAD.get(key) or ADVICE[key]}"
    if key in OPTIONS:
        return "; it belongs into x-job"
    meant = option_meant(key, OPTIONS, (*all_options(), *FRAME))
    if meant in OPTIONS:
        return f" (did you mean {shown(meant)}, in x-job?)"
    return did_you_mean(meant) or f"; use {listed(FRAME)}"


def _lint_parts(lint: SchemaLint, properties: JsonValue, required: JsonValue) -> None:
    if not isinstance(properties, dict):
        lint.note(("properties",), SPEC_FRAME, f'must be an object with "params" and "result", not {shown(properties)}')
        return
    for name, schema in properties.items():
        if name not in PARTS:
            known = nearest(name, PARTS) or "; put it into the properties of one of them"
            message = f"only params and result belong here, not {shown(name)}{known}"
            lint.note(("properties", name), SPEC_FRAME, message, at_key=True)
        else:
            lint.check(("properties", name), schema)
    stated = [name for name in PARTS if name in properties]
    if not isinstance(required, list) or len(required) != len(stated) or any(name not in required for name in stated):
        message = f"must be {json.dumps(stated)}, the properties of this spec, not {shown(required)}"
        lint.note(("required",), SPEC_FRAME, message)
