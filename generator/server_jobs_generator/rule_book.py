"""Every rule there is, of specs and of what lies beside them, by its id."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module

from .rules import Rule

# Each of these modules states its rules as constants; a new module of rules is added here.
_MODULES = ("spec_rules",)


@cache
def all_rules() -> Mapping[str, Rule]:
    """The rules in the order in which they are told. Raises `ValueError` where two have one id."""
    rules: dict[str, Rule] = {}
    for rule in _stated():
        if rules.setdefault(rule.id, rule) is not rule:
            raise ValueError(f"two rules are named {rule.id}")
    return rules


def _stated() -> Iterator[Rule]:
    for name in _MODULES:
        module = import_module(f".{name}", __package__)
        yield from (value for value in vars(module).values() if isinstance(value, Rule))
