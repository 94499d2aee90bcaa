"""Values that are tried until one fits; and where none ever does, the place of that in the document is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from hypothesis import reject
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

V = TypeVar("V")
Place = tuple[str, ...]

_TRIES = 10
_PATIENCE = 20 * _TRIES


class NothingFitsError(Exception):
    """Hardly anything that is made for a schema fits it; `place` is where in the document that is."""

    def __init__(self, place: Place) -> None:
        self.place = place
        super().__init__(f"nothing that was made for {'/'.join(('', *place))} fits its schema")


def fitting(
    candidates: Callable[[st.DrawFn], Iterable[V]], fits: Callable[[V], bool], place: Place
) -> SearchStrategy[V]:
    """Of the candidates that are drawn, the first that fits. Drawing raises `NothingFitsError` when none ever did."""
    counts = {True: 0, False: 0}

    @st.composite
    def value(draw: st.DrawFn) -> V:
        for _ in range(_TRIES):
            found = next(([one] for one in candidates(draw) if fits(one)), None)
            counts[found is not None] += 1
            if found is not None:
                return found[0]
        if counts[False] >= _PATIENCE and not counts[True]:
            raise NothingFitsError(place)
        return reject()

    return value()
