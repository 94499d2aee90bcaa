"""The forms in which files state jobs, rewritten into one.

A job may have `params` and `result` at its top, or inside `properties`, which makes it a JSON Schema. A file may have
one job, or several under `jobs` that share its `$defs`. Later stages see a document for each job, in the form of a JSON
Schema. Its places are those in the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import replace

from pydantic import JsonValue

from .document import Document, Pointer

JOBS = "jobs"
SHARED_BY_JOBS = ("$schema", "$defs", "definitions")
"""The keys of a file with several jobs that apply to each of them."""

_PARTS = ("params", "result")
_SCHEMA = frozenset({"type", "properties", "required"})


def has_jobs(document: Document) -> bool:
    """Return whether a file has several jobs."""
    return isinstance(document.value, dict) and JOBS in document.value


def definitions_beside_jobs(document: Document) -> Document:
    """Return the part of a file with several jobs that other files may refer to."""
    root = document.value if isinstance(document.value, dict) else {}
    return replace(document, value={key: root[key] for key in SHARED_BY_JOBS if key in root})


def job_documents(document: Document) -> Iterator[tuple[str, Document]]:
    """Yield the name of each job in a file with several, and its document."""
    root = document.value if isinstance(document.value, dict) else {}
    jobs = root.get(JOBS)
    shared = {key: root[key] for key in SHARED_BY_JOBS if key in root}
    for name, job in jobs.items() if isinstance(jobs, dict) else ():
        if isinstance(job, dict):
            # The references in a copy of the definitions are rewritten for its own document.
            value = {"title": name, **job, **deepcopy(shared)}
            written: dict[Pointer, Pointer] = {(): (JOBS, name), ("title",): (JOBS, name)}
            written |= {(key,): (key,) for key in shared}
            yield name, _as_schema(replace(document, value=value, written=written), job)


def as_schema(document: Document) -> Document:
    """Return the document of one job as a JSON Schema of an object with the properties `params` and `result`."""
    root = document.value
    is_short = isinstance(root, dict) and not {*_PARTS, "x-job"}.isdisjoint(root)
    return _as_schema(document, root) if is_short and isinstance(root, dict) else document


def _as_schema(document: Document, stated: Mapping[str, JsonValue]) -> Document:
    root = document.value
    if not isinstance(root, dict) or not _SCHEMA.isdisjoint(stated):
        return document
    parts: dict[str, JsonValue] = {name: root[name] for name in _PARTS if name in root}
    others = {key: value for key, value in root.items() if key not in parts}
    here = document.as_written(())
    written: dict[Pointer, Pointer] = {("properties", name): (*here, name) for name in parts}
    written |= {(key,): here for key in _SCHEMA}
    value: dict[str, JsonValue] = {**others, "type": "object", "required": list(parts), "properties": parts}
    return replace(document, value=value, written={**document.written, **written})
