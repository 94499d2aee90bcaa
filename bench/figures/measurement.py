"""The result of one phase for one subject."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Exactness:
    """The numbers of jobs that did not run exactly once, did not finish, or lost their result in a drain."""

    twice: int
    never: int
    unfinished: int
    lost: int
    """Finished jobs without a result, if the subject stores results."""

    @property
    def is_exact(self) -> bool:
        """Whether all counts are 0."""
        return not (self.twice or self.never or self.unfinished or self.lost)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """Values by the name of the measure, and the exactness of a drain."""

    values: dict[str, float] = field(default_factory=dict)
    exactness: Exactness | None = None
    complaints: str = ""
    """The last lines that the workers wrote to standard error."""
