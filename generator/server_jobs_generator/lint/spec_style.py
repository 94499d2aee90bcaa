"""What a project demands of its specs beyond JSON Schema, so that a typing error cannot pass for a wish."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Style:
    """The demands that a project may give up in `[tool.server-jobs] allow`, and one that no project can.

    Without `untyped`, a schema must say what its values are; else a missing `type` means any type. Without
    `open_objects`, an object must say whether it may have other properties; else it may. Without `idle_keywords`, what
    a draft of JSON Schema passes over is a mistake; else it is passed over.
    """

    untyped: bool = False
    open_objects: bool = False
    idle_keywords: bool = False

    @classmethod
    def of(cls, allowed: Collection[str]) -> Self:
        """The style of a project that allows these, of `server_jobs.project.ALLOWABLE`."""
        return cls(untyped="untyped-schemas" in allowed, open_objects="open-objects" in allowed)


STRICT = Style()
OF_THE_PAST = Style(untyped=True, open_objects=True, idle_keywords=True)
"""For specs that cannot be changed any more: which of these were allowed then is for the checks of that time."""
