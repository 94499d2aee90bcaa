"""What a rule is: the stable name of one kind of mistake. Its page, `rules/<id>.md`, says what it is about and why."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of mistake. `id` never changes, as people write it into files."""

    id: str


Mistake = tuple[Rule, str]
"""A rule that is broken, and the message that says how."""
