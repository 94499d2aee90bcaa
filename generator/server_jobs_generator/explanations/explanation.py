"""What is told about a rule. The examples are run by a test: the wrong one breaks the rule, the right one none."""

from __future__ import annotations

from dataclasses import dataclass

from ..problems.rule import Rule


@dataclass(frozen=True, slots=True)
class Example:
    """The mistake and its fix, as they stand at `place`: a JSON pointer into a spec, or words for anything else."""

    place: str
    wrong: str
    right: str
    language: str = "json"


@dataclass(frozen=True, slots=True)
class Explanation:
    """`why` says in full sentences what the rule protects from, and how to live with it."""

    rule: Rule
    why: str
    example: Example
