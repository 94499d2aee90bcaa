"""Jobs from JSON Schema: `schemas/order.json`, or `schemas/shop.json#/$defs/Order`. The schema becomes the params."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from .documents import DocumentJob, Target, found_in, target
from .found_job import Found


def find(targets: Sequence[str], folders: Sequence[str]) -> Found:
    """Return a job for each schema, named after its file or the last word of its pointer. See `Source`."""
    del folders
    return found_in(DocumentJob(_name(where), where) for where in map(target, targets))


def _name(where: Target) -> str:
    return str(where.pointer[-1]) if where.pointer else PurePath(where.path).name.partition(".")[0]
