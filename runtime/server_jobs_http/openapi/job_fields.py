"""The properties of a job, from the fields of its document."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from server_jobs.inspection.job_document import DETAIL_FIELDS, SUMMARY_FIELDS, DocumentField

from ..schema_parts import INTEGER, MOMENT, MOMENT_OR_NULL, STATUS, TEXT, TEXT_OR_NULL, Schema

_TYPES: Mapping[tuple[str, bool], Schema] = {
    ("str", False): TEXT,
    ("str", True): TEXT_OR_NULL,
    ("int", False): INTEGER,
    ("bool", False): {"type": "boolean"},
    ("datetime", False): MOMENT,
    ("datetime", True): MOMENT_OR_NULL,
    ("JobStatus", False): STATUS,
    ("json", False): {},
    ("json", True): {},
}
_BOUNDS: Mapping[str, Schema] = {"progress": {"minimum": 0, "maximum": 100}}


def _properties(fields: Iterable[DocumentField]) -> dict[str, Schema]:
    return {
        one.name: {**_TYPES[one.type, one.is_nullable], **_BOUNDS.get(one.name, {}), "description": one.about}
        for one in fields
    }


SUMMARY = _properties(SUMMARY_FIELDS)
DETAILS = _properties(DETAIL_FIELDS)
