"""Changes between two schemas of single values: listed values, bounds, pattern and format."""

from __future__ import annotations

import math
from collections.abc import Iterator

from server_jobs.contract.values import canonical, fingerprint

from ...problems.problem import shown
from ..contract_rules import ChangeRule
from .alternatives import Alternative
from .change import BREAKS, RISKY, SAFE, Change, Verdict, relaxed, tightened, unknown
from .node import Node

_EXACT = 2**53
_NONE = (-math.inf, False)
_MOST_LISTED = 8


def value_changes(old: Alternative, new: Alternative) -> Iterator[Change]:
    """Yield the changes between the lists of `const` and `enum`."""
    was, now = old.texts, new.texts
    if was is None or now is None:
        if was is not None:
            yield relaxed(old.node, new.node, "may have other values than those that were listed")
        if now is not None:
            yield tightened(old.node, new.node, f"must be one of {_listed(now)} now")
        return
    gone, come = was - now, now - was
    if gone and come and len(was) == len(now) == 1:
        yield unknown(
            old.node, new.node, f"was {_listed(was)}, and must be {_listed(now)} now", ChangeRule.CONST_CHANGED
        )
        return
    if gone:
        yield tightened(old.node, new.node, f"may be {_listed(gone)} no more", ChangeRule.ENUM_REMOVED)
    if come:
        yield relaxed(old.node, new.node, f"may be {_listed(come)} now", ChangeRule.ENUM_ADDED)


def text_changes(old: Node, new: Node) -> Iterator[Change]:
    """Yield the changes between two schemas of strings."""
    yield from count_changes(old, new, "minLength", "maxLength", "characters")
    yield from _word_changes(old, new, "pattern", ChangeRule.PATTERN_CHANGED)
    yield from _word_changes(old, new, "format", ChangeRule.FORMAT_CHANGED)


def number_changes(old: Alternative, new: Alternative) -> Iterator[Change]:
    """Yield the changes between two schemas of numbers."""
    widened, narrowed = ((one.kind, other.kind) == ("integer", "number") for one, other in ((old, new), (new, old)))
    backward, forward = _verdict_of_large(old, new), _verdict_of_large(new, old)
    if widened:
        forward = BREAKS
    if narrowed:
        backward = BREAKS
    if (backward, forward) != (SAFE, SAFE):
        message = "may have a fraction now" if widened else "may no longer have a fraction" if narrowed else ""
        rare = "whole numbers beyond 2^53 are refused by one side" if RISKY in (backward, forward) else ""
        yield Change(
            rule=ChangeRule.TYPE_WIDENED
            if widened or (forward is RISKY and not narrowed)
            else ChangeRule.TYPE_NARROWED,
            old=old.node.pointer,
            new=new.node.pointer,
            backward=backward,
            forward=forward,
            message="; ".join(filter(None, (message, rare))),
        )
    yield from _bound_changes(old, new)
    yield from _multiple_changes(old.node, new.node)
    yield from _word_changes(old.node, new.node, "format", ChangeRule.FORMAT_CHANGED)


def count_changes(old: Node, new: Node, lowest: str, highest: str, things: str) -> Iterator[Change]:
    """Yield the changes between two pairs of bounds on a count."""
    was, now = (_count(node, lowest, 0) for node in (old, new))
    if was != now:
        yield (tightened if now > was else relaxed)(
            old, new, f"{lowest} was {shown(was)} {things}, and is {shown(now)} now"
        )
    most, at_most = (_count(node, highest, math.inf) for node in (old, new))
    if most != at_most:
        words = [_number(value) for value in (most, at_most)]
        yield (tightened if at_most < most else relaxed)(old, new, f"{highest} was {words[0]}, and is {words[1]} now")


def _listed(values: frozenset[str]) -> str:
    ordered = sorted(values)
    if len(ordered) <= _MOST_LISTED:
        return ", ".join(ordered)
    return f"{', '.join(ordered[:_MOST_LISTED])}, … ({len(ordered)} values, {fingerprint(ordered)[:8]})"


def _count(node: Node, keyword: str, default: float) -> float:
    value = node.members.get(keyword, default)
    return value if isinstance(value, int | float) else default


def _number(value: float) -> str:
    return "not bounded" if math.isinf(value) else shown(value)


def _word_changes(old: Node, new: Node, keyword: str, rule: ChangeRule) -> Iterator[Change]:
    was, now = (canonical(node.members[keyword]) if node.has(keyword) else None for node in (old, new))
    if was == now:
        return
    if was is None:
        yield tightened(old, new, f"{keyword} {now} was added")
    elif now is None:
        yield relaxed(old, new, f"{keyword} {was} was removed")
    else:
        yield unknown(old, new, f"{keyword} was {was}, and is {now} now", rule)


def _lower(found: Alternative) -> tuple[float, bool]:
    """Return the largest lower bound, and whether it is exclusive; a larger tuple restricts more."""
    stated = [
        (found.node.members.get(word), excluded) for word, excluded in (("minimum", False), ("exclusiveMinimum", True))
    ]
    bounds = [
        (value, excluded)
        for value, excluded in stated
        if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    bound, is_excluded = max(bounds, default=_NONE)
    if found.kind == "integer" and not math.isinf(bound):
        return (math.floor(bound) + 1 if is_excluded else math.ceil(bound)), False
    return bound, is_excluded


def _upper(found: Alternative) -> tuple[float, bool]:
    """Return the smallest upper bound in the same form, negated."""
    stated = [
        (found.node.members.get(word), excluded) for word, excluded in (("maximum", False), ("exclusiveMaximum", True))
    ]
    bounds = [
        (-value, excluded)
        for value, excluded in stated
        if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    bound, is_excluded = max(bounds, default=_NONE)
    if found.kind == "integer" and not math.isinf(bound):
        return (math.floor(bound) + 1 if is_excluded else math.ceil(bound)), False
    return bound, is_excluded


def _verdict_of_large(writer: Alternative, reader: Alternative) -> Verdict:
    """Return the verdict for whole numbers that a double cannot represent."""
    return SAFE if reader.takes_any_integer or not writer.takes_any_integer or _is_exact(writer) else RISKY


def _is_exact(found: Alternative) -> bool:
    """Return whether a double represents every whole number within the bounds."""
    if found.values is not None:
        return all(isinstance(value, int | float) and abs(value) <= _EXACT for value in found.values)
    return _lower(found)[0] >= -_EXACT and _upper(found)[0] >= -_EXACT


def _bound_changes(old: Alternative, new: Alternative) -> Iterator[Change]:
    for word, of in (("lower", _lower), ("upper", _upper)):
        was, now = of(old), of(new)
        if was != now:
            sign = 1 if word == "lower" else -1
            words = [_bound(*bound, sign) for bound in (was, now)]
            change = tightened if now > was else relaxed
            yield change(old.node, new.node, f"its {word} bound was {words[0]}, and is {words[1]} now")


def _bound(value: float, is_excluded: bool, sign: int) -> str:
    return "none" if math.isinf(value) else f"{shown(sign * value)}{' (excluded)' if is_excluded else ''}"


def _multiple_changes(old: Node, new: Node) -> Iterator[Change]:
    was, now = (node.members.get("multipleOf") for node in (old, new))
    if canonical(was) == canonical(now):
        return
    words = ["absent" if value is None else shown(value) for value in (was, now)]
    message = f"multipleOf was {words[0]}, and is {words[1]} now"
    if now is None:
        yield relaxed(old, new, message)
    elif was is None:
        yield tightened(old, new, message)
    elif isinstance(was, int) and isinstance(now, int) and was and now and not (was % now and now % was):
        yield (relaxed if was % now == 0 else tightened)(old, new, message)
    else:
        yield unknown(old, new, message, ChangeRule.CONSTRAINT_TIGHTENED)
