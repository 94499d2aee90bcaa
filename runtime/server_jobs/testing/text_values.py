"""Strategies for texts with a length, a format, an encoding and patterns."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import cast

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from pydantic import JsonValue

from ..contract.schemas.patterns import PatternError
from .fitting_values import Place, fitting
from .format_values import FORMAT_VALUES
from .pattern_values import texts_of

CHARACTERS = st.characters(codec="utf-8", exclude_characters="\0")

_MORE_CHARACTERS = 20
_MOST_SPLICES = 2_000
_FILLING = "a"

Texts = SearchStrategy[str]
Test = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class TextSchema:
    """The keywords of a schema for texts, a check of them, and the place in the document.

    `content` has the values for a JSON document in a text.
    """

    least: int
    most: int | None
    form: str | None
    patterns: tuple[str, ...]
    encoding: JsonValue
    media_type: JsonValue
    content: SearchStrategy[JsonValue]
    fits: Test
    place: Place

    def texts(self) -> Texts:
        """Return valid texts; none if the keywords contradict each other."""
        if self.most is not None and self.least > self.most:
            return st.nothing()
        sources = [*self._of_form(), *self._of_content(), *map(self._matching, self.patterns)]
        if not sources:
            most = self.least + _MORE_CHARACTERS
            return st.text(
                CHARACTERS, min_size=self.least, max_size=most if self.most is None else min(self.most, most)
            )
        if any(source.is_empty for source in sources):
            return st.nothing()
        if self.form is None and self.encoding is None and self.media_type is None and len(sources) == 1:
            return sources[0]
        return self._fitting(sources)

    def _of_form(self) -> Iterator[Texts]:
        if self.form is not None and self.form in FORMAT_VALUES and self.form != "byte":
            yield cast("Texts", FORMAT_VALUES[self.form])

    def _of_content(self) -> Iterator[Texts]:
        is_base64 = self.encoding == "base64" or self.form == "byte"
        if self.media_type == "application/json":
            documents = self.content.map(json.dumps)
            yield documents.map(lambda text: b64encode(text.encode()).decode()) if is_base64 else documents
        elif is_base64:
            fewest = -(-self.least // 4)
            most = fewest + _MORE_CHARACTERS // 4 if self.most is None else min(self.most // 4, fewest + 5)
            if fewest > most:
                yield st.nothing()
            else:
                yield st.binary(min_size=max(0, 3 * fewest - 2), max_size=3 * most).map(_base64)

    def _matching(self, pattern: str) -> Texts:
        """Return texts of a pattern. A pattern that a spec cannot have is read as Python's, and the filter decides."""
        try:
            return texts_of(pattern, self.least, self.most)
        except PatternError:
            try:
                anchored = re.compile(pattern, re.ASCII)
            except (re.error, FutureWarning):
                return st.nothing()
            return st.from_regex(anchored, alphabet=CHARACTERS).map(lambda text: text.removesuffix("\n"))

    def _fitting(self, sources: list[Texts]) -> Texts:
        """Return texts of one source that fit the others too, or texts of one source spliced into texts of another."""

        def candidates(draw: st.DrawFn) -> Iterator[str]:
            drawn = [draw(source) for source in sources]
            spliced = (made for one in drawn for other in (*drawn, _FILLING) for made in self._spliced(one, other))
            return chain(drawn, islice(spliced, _MOST_SPLICES))

        return fitting(candidates, self.fits, self.place)

    def _spliced(self, around: str, inside: str) -> Iterator[str]:
        """Replace a part of one text with the other, and yield each result whose length fits. Long parts come first."""
        for start in range(len(around) + 1):
            for end in range(len(around), start - 1, -1):
                rest = len(around) - (end - start)
                middle = inside
                if inside == _FILLING:
                    middle = _FILLING * max(0, self.least - rest)
                length = rest + len(middle)
                if self.least <= length and (self.most is None or length <= self.most):
                    yield around[:start] + middle + around[end:]


def _base64(data: bytes) -> str:
    return b64encode(data).decode()
