"""What a project demands of its specs beyond JSON Schema, so that a typing error cannot pass for a wish."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Style:
    """The demands that a project may give up in `[tool.server-jobs] allow`.

    Without `untyped`, a schema must say what its values are; else a missing `type` means any type. Without
    `open_objects`, an object must say whether it may have other properties; else it may.
    """

    untyped: bool = False
    open_objects: bool = False

    @classmethod
    def of(cls, allowed: Collection[str]) -> Self:
        """The style of a project that allows these, of `server_jobs.project.ALLOWABLE`."""
        return cls(untyped="untyped-schemas" in allowed, open_objects="open-objects" in allowed)


STRICT = Style()
