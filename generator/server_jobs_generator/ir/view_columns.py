"""The columns of a job's view that its spec decides: the properties of params and result, one column each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from server_jobs.contract.values import pointer_to

from ..python.names import snake_case
from ..sql.column_types import ColumnType
from ..sql.properties import PARTS, redacted_properties, typed_properties
from ..sql.sql_names import shortened
from .spec import JobSpec

# Many jobs have properties of the same names.
_snake_case = lru_cache(snake_case)


@dataclass(frozen=True, slots=True)
class ViewColumn:
    """One column: its name in SQL, and the property of `params` or `result` that it shows."""

    name: str
    part: str
    json_name: str
    type: ColumnType
    is_indexed: bool


def view_columns(job: JobSpec) -> tuple[ViewColumn, ...]:
    """In the order of the spec. A property that is redacted, or has something redacted inside, is left out."""
    taken: set[str] = set()
    columns: list[ViewColumn] = []
    for part, json_name, kind in _shown_properties(job):
        name = _free(f"{part}_{_snake_case(json_name)}", taken)
        is_indexed = bool(job.indexes) and pointer_to((part, json_name)) in job.indexes
        columns.append(ViewColumn(name, part, json_name, kind, is_indexed))
    return tuple(columns)


def _shown_properties(job: JobSpec) -> Iterator[tuple[str, str, ColumnType]]:
    hidden = redacted_properties(job.options.redact)
    for part, schema in zip(PARTS, (job.params, job.result), strict=True):
        for name, kind in typed_properties(schema).items():
            if part == "result" or (hidden is not None and name not in hidden):
                yield part, name, kind


def _free(wanted: str, taken: set[str]) -> str:
    """The name, as short as PostgreSQL needs it. Names of properties differ, so only a digest can be taken."""
    name = shortened(wanted)
    while name in taken:
        name = shortened(f"{wanted}_", f"_{len(taken)}")
    taken.add(name)
    return name
