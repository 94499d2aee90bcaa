"""Schemas in documents: a file, or a part of it by JSON pointer, with the files that it refers to."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from pydantic import JsonValue
from server_jobs.contract.values import path_of, pointer_to
from server_jobs_generator.problems.rules import PART_NOT_AN_OBJECT
from server_jobs_generator.read.document import ENDINGS, Pointer, read_document
from server_jobs_generator.read.library import SHARED, SpecFile

from .found_job import VALUE, Found, FoundJob, FoundPart, ImportSourceError, LeftOut, found_each, wrapped
from .reading import ReadSpecs, read_carefully
from .secrets import with_marked_passwords

_MOST_FILES = 1_000
_MOST_REASONS = 5


@dataclass(frozen=True, slots=True)
class Target:
    """`PATH` or `PATH#/pointer`, as the command got it."""

    path: str
    pointer: Pointer = ()

    @property
    def place(self) -> str:
        """Return the target for messages."""
        return f"{self.path}#{pointer_to(self.pointer)}" if self.pointer else self.path


def target(text: str) -> Target:
    """Read a target. Raises `ImportSourceError` for a fragment that is no JSON pointer."""
    path, _, fragment = text.partition("#")
    if fragment and not fragment.startswith("/"):
        raise ImportSourceError(f"{text!r} must end with a JSON pointer, such as #/components/schemas/Order")
    return Target(path, tuple(path_of(unquote(fragment))))


def document_at(path: str) -> JsonValue:
    """Return the value of a JSON or YAML file. Raises `ImportSourceError` if it cannot be read."""
    if "://" in path:
        raise ImportSourceError(f"{path!r} is a URL, and nothing is fetched; save the document, and name the file")
    if not path.endswith(ENDINGS):
        raise ImportSourceError(f"{path!r} must be a file {', '.join(ENDINGS)}")
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ImportSourceError(f"{path} cannot be read: {error.strerror}") from error
    reading = read_document(path, data)
    if reading.document is None or reading.problems:
        raise ImportSourceError("\n".join(map(str, reading.problems)))
    return reading.document.value


def part_at(document: JsonValue, pointer: Pointer) -> JsonValue:
    """Return the part of a document at a pointer. Raises `KeyError` if there is none."""
    for token in pointer:
        if isinstance(document, dict) and token in document:
            document = document[str(token)]
        elif isinstance(document, list) and str(token).isdecimal() and int(token) < len(document):
            document = document[int(token)]
        else:
            raise KeyError(token)
    return document


@dataclass(frozen=True, slots=True)
class DocumentJob:
    """A job whose params are the schema at a target."""

    name: str
    target: Target
    description: str | None = None
    left_out: tuple[LeftOut, ...] = ()


def found_in(jobs: Iterable[DocumentJob]) -> Found:
    """Read the schemas of these jobs. Raises `ImportSourceError` for a target that does not exist."""
    documents: dict[str, JsonValue] = {}
    wanted = list(jobs)
    for where in (job.target for job in wanted):
        if where.path not in documents:
            documents[where.path] = document_at(where.path)
        try:
            part_at(documents[where.path], where.pointer)
        except KeyError as error:
            raise ImportSourceError(f"{where.place} does not exist: there is no {error.args[0]!r}") from None
    return found_each(
        ((job.target.place, job) for job in wanted), lambda _, job: _found_job(job, documents[job.target.path])
    )


def _found_job(job: DocumentJob, document: JsonValue) -> FoundJob:
    schema = part_at(document, job.target.pointer)
    params, left_out = _read(job.target, document)
    stated = schema.get("description") if isinstance(schema, dict) else None
    return FoundJob(
        name=job.name,
        place=job.target.place,
        params=params,
        description=job.description or (stated if isinstance(stated, str) else None),
        left_out=(*job.left_out, *left_out),
    )


def _read(where: Target, document: JsonValue) -> tuple[FoundPart, tuple[LeftOut, ...]]:
    """Return the schema at a target in draft 2020-12, without references to other places, and the parts that it lacks.

    A schema that accepts no objects becomes an object with the property `value`. Raises `ImportSourceError` with the
    reasons if the generator refuses the schema.
    """
    files = _Files(where, document)
    reference = f"{SHARED}/{quote(files.name_of(where.path))}#{quote(pointer_to(where.pointer))}"
    read = files.read({"$ref": reference})
    notes: tuple[LeftOut, ...] = ()
    if [problem.rule for problem in read.problems] == [PART_NOT_AN_OBJECT.id]:
        part = part_at(document, where.pointer)
        notes = (wrapped(where.place, part if isinstance(part, dict) else {}),)
        properties: dict[str, JsonValue] = {VALUE: {"$ref": reference}}
        frame: dict[str, JsonValue] = {"type": "object", "additionalProperties": False, "required": [VALUE]}
        read = files.read({**frame, "properties": properties})
    if read.problems:
        reasons = "; ".join(str(problem) for problem in read.problems[:_MOST_REASONS])
        raise ImportSourceError(f"the generator refuses its schema: {reasons}")
    schema = {key: value for key, value in read.jobs[0].params.items() if key not in ("title", "description")}
    return FoundPart(schema), (*notes, *read.left_out)


class _Files:
    """The file of a target, and the files that it refers to. An API document has only the parts that are needed."""

    def __init__(self, where: Target, document: JsonValue) -> None:
        self._is_schema = not (isinstance(document, dict) and {"openapi", "asyncapi"} & document.keys())
        documents: dict[str, JsonValue] = {}
        pending = {os.path.normpath(where.path): document if self._is_schema else _reduced(document, where.pointer)}
        while pending and len(documents) < _MOST_FILES:
            path, value = pending.popitem()
            documents[path] = value
            for reference in references(value):
                other = os.path.normpath(Path(path).parent / unquote(reference.partition("#")[0]))
                if other not in documents and other not in pending and Path(other).is_file():
                    pending[other] = document_at(other)
        self._documents = documents
        folders = {os.path.normpath(Path(path).absolute().parent) for path in documents}
        self._root = os.path.commonpath(folders)

    def name_of(self, path: str) -> str:
        """Return the name of a file below the folder that contains all of them."""
        return os.path.relpath(path, self._root).replace(os.sep, "/")

    def read(self, params: Mapping[str, JsonValue]) -> ReadSpecs:
        """Read a spec with these params beside the files."""
        files = [
            SpecFile(f"{SHARED}/{self.name_of(path)}", path, json.dumps(with_marked_passwords(value)).encode())
            for path, value in self._documents.items()
        ]
        spec = SpecFile("imported.json", "imported.json", json.dumps({"params": params}).encode())
        read = read_carefully([*files, spec])
        # An API document is no schema, so its own keys are no keywords.
        known = [part for part in read.left_out if self._is_schema or part.place.rpartition("#")[2].count("/") > 1]
        return ReadSpecs(read.files, read.jobs, tuple(known), read.problems)


def _reduced(document: JsonValue, pointer: Pointer) -> JsonValue:
    """Return an API document with only the part at the pointer, and the parts to which its references lead."""
    reduced: dict[str, JsonValue] = {}
    seen: set[Pointer] = set()
    pending = [pointer]
    while pending:
        place = pending.pop()
        if place in seen:
            continue
        seen.add(place)
        try:
            part = part_at(document, place)
        except KeyError:
            continue
        _put(reduced, document, place)
        pending += [target(reference).pointer for reference in references(part) if reference.startswith("#/")]
    return reduced


def _put(reduced: dict[str, JsonValue], document: JsonValue, place: Pointer) -> None:
    """Copy the part at a place. A list is copied as a whole, so that its indexes stay."""
    for number, token in enumerate(place):
        inner = part_at(document, place[: number + 1])
        if number == len(place) - 1 or not isinstance(inner, dict):
            reduced[str(token)] = inner
            return
        below = reduced.setdefault(str(token), {})
        if not isinstance(below, dict) or below is inner:
            return
        reduced = below


def references(value: JsonValue) -> Iterator[str]:
    """Yield each `$ref` in a document or a part of one."""
    pending = [value]
    while pending:
        one = pending.pop()
        if isinstance(one, dict):
            pending += one.values()
            if isinstance(reference := one.get("$ref"), str):
                yield reference
        elif isinstance(one, list):
            pending += one
