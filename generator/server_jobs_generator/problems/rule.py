"""What a rule is: the stable name of one kind of mistake, which `server-jobs explain` tells more about."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of mistake. `id` never changes, as people write it into files; `summary` is one line without a stop."""

    id: str
    summary: str


Mistake = tuple[Rule, str]
"""A rule that is broken, and the message that says how."""
