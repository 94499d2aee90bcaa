"""Compare documents of jobs with the conditions of a search, in short slices that leave the event loop to others."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from ..contract.values import MAX_DOCUMENT_BYTES
from ..domain.record import JobFilter
from ..domain.search import Condition, FoundJob, Part

LARGEST_SEARCHED = 2 * MAX_DOCUMENT_BYTES + 64 * 1024
"""Most bytes of the params and the result of a job that a search reads. A job with more is unreadable."""
STEP_BYTES = 4 * 1024 * 1024
"""Bytes of documents after which a step ends. A step reads the documents of one job at least."""

_SLICE = 0.005
_LONG = 0.02


@dataclass(frozen=True, slots=True)
class Candidate:
    """A job that matches the filter without its conditions, and its documents; no params: too long to be read."""

    job: FoundJob
    params: str | None
    result: str | None

    def document(self, part: Part) -> str | None:
        """Return one of the documents."""
        return self.params if part is Part.PARAMS else self.result


async def search(wanted: JobFilter, candidates: Iterable[Candidate]) -> tuple[FoundJob, ...]:
    """Return the jobs whose documents match every condition.

    A job is returned as unreadable if its documents are too long, or if the document of the first condition is not JSON
    and contains the text of its value.
    """
    if not wanted.where:
        return tuple(one.job for one in candidates)
    turn = _Turn()
    found: list[FoundJob] = []
    for one in candidates:
        if one.params is None:
            found.append(_unreadable(one.job))
            continue
        try:
            if await _matches(wanted, one, turn):
                found.append(one.job)
        except ValueError:
            first = wanted.where[0]
            text = one.document(first.part) or ""
            if any(needle in text for needle in first.needles()):
                found.append(_unreadable(one.job))
    return tuple(found)


async def _matches(wanted: JobFilter, one: Candidate, turn: _Turn) -> bool:
    """Return whether all conditions hold. Parses each document once. Raises `ValueError` for one that is not JSON."""
    parsed: dict[Part, object] = {}
    for condition in wanted.where:
        text = one.document(condition.part)
        if text is None:
            return False
        if condition.part not in parsed:
            parsed[condition.part] = parse(text)
            await turn.share()
        is_met = holds(condition, parsed[condition.part])
        await turn.share()
        if not is_met:
            return False
    return True


def parse(text: str) -> object:
    """Return a document with its numbers as `Decimal`. Raises `ValueError` if it is not JSON."""
    try:
        return json.loads(text, parse_int=Decimal, parse_float=Decimal)
    except (ArithmeticError, RecursionError) as error:
        raise ValueError(str(error)) from error


def holds(condition: Condition, document: object) -> bool:
    """Return whether a parsed document has the value, in time that grows with its size, whatever its depth."""
    path = condition.path
    open_nodes: list[tuple[Iterator[object], int]] = [(iter((document,)), 0)]
    while open_nodes:
        nodes, depth = open_nodes[-1]
        for node in nodes:
            if isinstance(node, list):
                open_nodes.append((iter(node), depth))
                break
            if depth == len(path):
                if condition.equals(node):
                    return True
            elif isinstance(node, dict) and path[depth] in node:
                open_nodes.append((iter((node[path[depth]],)), depth + 1))
                break
        else:
            open_nodes.pop()
    return False


def _unreadable(job: FoundJob) -> FoundJob:
    return FoundJob(job.id, job.job_name, job.status, is_readable=False)


class _Turn:
    """The turn of a search on the event loop."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    async def share(self) -> None:
        """Let others run after a slice, for as long as it took if it was long: one large document cannot be divided."""
        took = time.monotonic() - self._began
        if took >= _SLICE:
            await asyncio.sleep(took if took >= _LONG else 0)
            self._began = time.monotonic()
