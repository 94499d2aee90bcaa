"""What a change of specs means for the handlers, as a plain value."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class HandlerChange:
    """One line of a handler that has to follow a change of its spec; line and column count from 1."""

    path: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column} {self.message}"


@dataclass(frozen=True, slots=True)
class HandlerPatch:
    """What a handler becomes where there is nothing to decide, as `git apply` and `patch -p1` take it."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class HandlerImpact:
    """All such lines, and a patch for each handler in which some need no thought."""

    changes: tuple[HandlerChange, ...] = ()
    patches: tuple[HandlerPatch, ...] = ()

    @property
    def patch(self) -> str:
        """All patches as one."""
        return "".join(patch.text for patch in self.patches)


NO_IMPACT = HandlerImpact()
