"""Strategies for objects: required properties, and as many optional ones as allowed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from typing import cast

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from pydantic import JsonValue

from .fitting_values import NothingFitsError

Values = SearchStrategy[JsonValue]
Pair = tuple[str, JsonValue]

_MORE_PROPERTIES = 3


@dataclass(frozen=True, slots=True)
class ObjectParts:
    """The values of properties by name, the required names, and pairs of further names with their values."""

    named: Mapping[str, Values]
    required: frozenset[str]
    others: Sequence[SearchStrategy[Pair]]
    least: int
    most: int

    def objects(self) -> Values:
        """Return valid objects; none if a required property has no value, or if too few properties have one."""
        others = [pair for pair in self.others if not pair.is_empty]
        optional = [name for name, values in self.named.items() if name not in self.required and not values.is_empty]
        fewest, most = max(0, self.least - len(self.required)), self.most - len(self.required)
        is_endless = any(self.named[name].is_empty for name in self.required)
        if is_endless or most < fewest or (fewest > len(optional) and not others):
            return st.nothing()
        names = _some_of(optional, 0 if others else fewest, most)

        @st.composite
        def value(draw: st.DrawFn) -> dict[str, JsonValue]:
            chosen = self.required.union(draw(names))
            found: dict[str, JsonValue] = {}
            for name, values in self.named.items():
                # Leave out a property that has no valid value.
                with nullcontext() if name in self.required else suppress(NothingFitsError):
                    found |= {name: draw(values)} if name in chosen else {}
            missing = max(0, self.least - len(found))
            if others and (missing or not self.named):
                room = min(self.most - len(found), missing + _MORE_PROPERTIES)
                found |= dict(draw(st.lists(st.one_of(others), min_size=missing, max_size=room, unique_by=_name_of)))
            return found

        return cast("Values", value())


def _some_of(names: Sequence[str], least: int, most: int) -> SearchStrategy[list[str]]:
    if not names:
        return st.just([])
    if least == 0 and len(names) <= most:
        return st.tuples(*[st.booleans()] * len(names)).map(
            lambda chosen: [name for name, is_there in zip(names, chosen, strict=True) if is_there]
        )
    return st.lists(st.sampled_from(names), unique=True, min_size=least, max_size=most)


def _name_of(pair: Pair) -> str:
    return pair[0]
