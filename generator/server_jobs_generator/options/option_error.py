"""The error of a value that an option cannot have."""

from __future__ import annotations

from ..problems.rules import OPTION_VALUE, Rule


class OptionError(ValueError):
    """A value that an option cannot have; the message lists the allowed values."""

    def __init__(self, message: str, rule: Rule = OPTION_VALUE) -> None:
        self.rule = rule
        super().__init__(message)
