"""What a project demands of its specs beyond JSON Schema, so that a typing error cannot pass for a wish."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Style:
    """The demands that a project may give up in `[tool.server-jobs] allow`.

    Without `untyped`, a schema must say what its values are; else a missing `type` means any type. Without
    `open_objects`, an object must say whether it may have other properties; else it may.
    """

    untyped: bool = False
    open_objects: bool = False


STRICT = Style()
