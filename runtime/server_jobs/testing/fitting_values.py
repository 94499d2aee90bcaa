"""Draw values until one is valid, or report the place in the document that never is."""

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
    """Hardly any value made for a schema is valid; `place` is the path of the schema in the document."""

    def __init__(self, place: Place) -> None:
        self.place = place
        super().__init__(f"nothing that was made for {'/'.join(('', *place))} fits its schema")


def fitting(
    candidates: Callable[[st.DrawFn], Iterable[V]], fits: Callable[[V], bool], place: Place
) -> SearchStrategy[V]:
    """Draw candidates and return the first valid one.

    Drawing raises `NothingFitsError` if no candidate is ever valid.
    """
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
