"""Which alternative of an old schema became which of the new one."""

from __future__ import annotations

from dataclasses import dataclass, field

from .alternatives import OPAQUE, Alternative


@dataclass(slots=True)
class Pairing:
    """Alternatives that belong together; `olds` and `news` are those that have no partner."""

    olds: list[Alternative]
    news: list[Alternative]
    pairs: list[tuple[Alternative, Alternative]] = field(default_factory=list[tuple[Alternative, Alternative]])

    def join(self, one: Alternative, other: Alternative) -> None:
        """Make a pair of two that have no partner."""
        self.olds.remove(one)
        self.news.remove(other)
        self.pairs.append((one, other))


def pair(olds: list[Alternative], news: list[Alternative]) -> Pairing:
    """Pair equal ones, then those with the same tag, then those of one kind, then whole with any numbers."""
    found = Pairing(list(olds), list(news))
    _join_equal(found)
    for one in tuple(found.olds):
        _join_first(found, one, [other for other in found.news if _have_one_tag(one, other)])
    for one in tuple(found.olds):
        _join_first(found, one, [other for other in found.news if _are_of_one_kind(one, other)])
    for one in tuple(found.olds):
        _join_first(found, one, [other for other in found.news if {one.kind, other.kind} == {"integer", "number"}])
    return found


def _join_equal(found: Pairing) -> None:
    """What is opaque and equal is done with; the parts of all others may still have other defaults."""
    for one in tuple(found.olds):
        identity = one.identity
        _join_first(found, one, [other for other in found.news if other.identity == identity])
    found.pairs = [(one, other) for one, other in found.pairs if one.kind != OPAQUE]


def _join_first(found: Pairing, one: Alternative, others: list[Alternative]) -> None:
    if others:
        found.join(one, others[0])


def _have_one_tag(one: Alternative, other: Alternative) -> bool:
    theirs = other.tags
    return any(theirs.get(name) == values for name, values in one.tags.items())


def _are_of_one_kind(one: Alternative, other: Alternative) -> bool:
    """Tagged branches are not paired by kind alone: with another tag, they mean another thing."""
    are_tagged = one.in_union and other.in_union and bool(one.tags or other.tags)
    return one.kind == other.kind != OPAQUE and not are_tagged
