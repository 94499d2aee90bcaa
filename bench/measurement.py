"""What one phase of one subject gave."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Exactness:
    """Whether each job of a drain ran once and left what it should."""

    twice: int
    never: int
    unfinished: int
    lost: int
    """Jobs that are finished without the result that the subject stores."""

    @property
    def is_exact(self) -> bool:
        """Nothing to complain about."""
        return not (self.twice or self.never or self.unfinished or self.lost)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """Values by the name of what they measure, and the exactness of a drain."""

    values: dict[str, float] = field(default_factory=dict)
    exactness: Exactness | None = None
    complaints: str = ""
    """The end of what the workers wrote to standard error."""
