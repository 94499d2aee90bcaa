"""One difference between two schemas, and what it means for whoever reads with one what was written with the other."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from server_jobs.contract.values import fingerprint

from ...read.document import Pointer
from ..contract_rules import ChangeRule
from .node import Node


class Verdict(StrEnum):
    """Every value is read as it was meant; something of it is lost, or a rare value refused; some value is refused."""

    SAFE = "safe"
    RISKY = "risky"
    BREAKS = "breaks"


SAFE, RISKY, BREAKS = Verdict.SAFE, Verdict.RISKY, Verdict.BREAKS


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """`backward` is about values of the old schema with the new reader, `forward` about new values with the old one.

    `old` and `new` point to the two places, in the schemas as they are bundled. Another change at the
    same place has another `message`.
    """

    rule: ChangeRule
    old: Pointer
    new: Pointer
    backward: Verdict
    forward: Verdict
    message: str


def marked(message: str, *nodes: Node) -> str:
    """The message with a mark for what it does not spell out of these schemas, so that no other change has the same."""
    return f"{message} (change {fingerprint([node.meaning() for node in nodes])[:8]})"


def tightened(old: Node, new: Node, message: str, rule: ChangeRule = ChangeRule.CONSTRAINT_TIGHTENED) -> Change:
    """A change after which less is accepted."""
    return Change(rule=rule, old=old.pointer, new=new.pointer, backward=BREAKS, forward=SAFE, message=message)


def relaxed(old: Node, new: Node, message: str, rule: ChangeRule = ChangeRule.CONSTRAINT_RELAXED) -> Change:
    """A change after which more is accepted."""
    return Change(rule=rule, old=old.pointer, new=new.pointer, backward=SAFE, forward=BREAKS, message=message)


def unknown(old: Node, new: Node, message: str, rule: ChangeRule = ChangeRule.UNKNOWN_CHANGE) -> Change:
    """A change that may break both ways."""
    return Change(rule=rule, old=old.pointer, new=new.pointer, backward=BREAKS, forward=BREAKS, message=message)
