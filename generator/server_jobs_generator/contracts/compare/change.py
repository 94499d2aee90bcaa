"""One difference between two schemas, and its effect on readers of the other schema's values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from server_jobs.contract.values import fingerprint

from ...read.document import Pointer
from ..contract_rules import ChangeRule
from .node import Node


class Verdict(StrEnum):
    """The reader accepts every value as it was meant, loses data or rejects rare values, or rejects some values."""

    SAFE = "safe"
    RISKY = "risky"
    BREAKS = "breaks"


SAFE, RISKY, BREAKS = Verdict.SAFE, Verdict.RISKY, Verdict.BREAKS


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """`backward` judges old values with the new reader, `forward` new values with the old reader.

    `old` and `new` point to the two places in the bundled schemas. Different changes at one place have different
    messages.
    """

    rule: ChangeRule
    old: Pointer
    new: Pointer
    backward: Verdict
    forward: Verdict
    message: str


def marked(message: str, *nodes: Node) -> str:
    """Return the message with a hash of these schemas, so that each change has its own message."""
    return f"{message} (change {fingerprint([node.meaning() for node in nodes])[:8]})"


def tightened(old: Node, new: Node, message: str, rule: ChangeRule = ChangeRule.CONSTRAINT_TIGHTENED) -> Change:
    """Return a change that narrows the accepted values."""
    return Change(rule=rule, old=old.pointer, new=new.pointer, backward=BREAKS, forward=SAFE, message=message)


def relaxed(old: Node, new: Node, message: str, rule: ChangeRule = ChangeRule.CONSTRAINT_RELAXED) -> Change:
    """Return a change that widens the accepted values."""
    return Change(rule=rule, old=old.pointer, new=new.pointer, backward=SAFE, forward=BREAKS, message=message)


def unknown(old: Node, new: Node, message: str, rule: ChangeRule = ChangeRule.UNKNOWN_CHANGE) -> Change:
    """Return a change that may break in both directions."""
    return Change(rule=rule, old=old.pointer, new=new.pointer, backward=BREAKS, forward=BREAKS, message=message)
