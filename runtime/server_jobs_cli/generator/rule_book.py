"""Every rule there is, of specs and of what lies beside them, with all that is told about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module

from server_jobs_generator.explanations.explanation import Explanation

# Each has a tuple EXPLANATIONS, one for each rule. Who adds a module of rules adds one here.
_MODULES = ("of_files", "of_schemas", "of_options", "of_contracts", "of_outputs", "of_workers")


@cache
def all_explanations() -> Mapping[str, Explanation]:
    """What is known about each rule, by its id, in the order in which they are listed.

    Raises `ValueError` where two rules have one id.
    """
    found: dict[str, Explanation] = {}
    for explanation in _stated():
        if found.setdefault(explanation.rule.id, explanation) is not explanation:
            raise ValueError(f"two rules are named {explanation.rule.id}")
    return found


def _stated() -> Iterator[Explanation]:
    for name in _MODULES:
        yield from import_module(f"server_jobs_generator.explanations.{name}").EXPLANATIONS
