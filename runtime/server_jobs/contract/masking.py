"""Masks of redacted params, for every text that leaves an attempt."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from json.encoder import encode_basestring, encode_basestring_ascii
from urllib.parse import quote, quote_plus

from ..domain.tracebacks import HIDDEN, Mask, unmasked
from .json_scan import has_many_values
from .secret_search import SecretSearch, ShortWords
from .values import at_pointer

MOST_VALUES = 2_000
"""Most redacted values of one job that are searched, with their lines. With more of them, texts are hidden."""

_SHORT = 4
_DATA_KEY = 16  # characters; a longer key of an object is a value rather than a name
_LONGEST_ESCAPED = 4 * 1024
_DEEPEST = 20
_ELISIONS = (b"...", "…".encode())


def masking(params: str, pointers: Sequence[str]) -> Mask:
    """Return the function that masks the values at these pointers of the params (JSON text) in other texts.

    It masks a value wherever it stands, as it is or escaped as in Python, JSON, URLs and HTML. A value of fewer than
    four characters is masked as a whole word only. A line of a value is masked too, and so is a beginning or an end of
    at least 12 bytes, because libraries shorten values in messages. At most 64 KiB of a text are shown, and nothing of
    it if there are more than `MOST_VALUES` values or the params are not JSON.
    """
    return Masking(params, pointers) if pointers else unmasked


def masked_value(value: object, mask: Mask, depth: int = 0) -> object:
    """Return a value with its texts, numbers and keys masked. Other objects that show a secret become masked texts."""
    if depth > _DEEPEST:
        return HIDDEN
    if isinstance(value, dict):
        pairs = value.items()
        return {masked_value(key, mask, depth + 1): masked_value(part, mask, depth + 1) for key, part in pairs}
    if isinstance(value, list | tuple | set | frozenset):
        return [masked_value(part, mask, depth + 1) for part in value]
    if value is None or isinstance(value, bool):
        return value
    try:
        text = str(value)
        written = text if isinstance(value, str | int | float) else repr(value)  # as a list shows it
    except Exception:  # noqa: BLE001  a class of the user
        return HIDDEN
    shown = mask(text)
    return value if shown == text and (written == text or mask(written) == written) else shown


class Masking:
    """A `Mask`. It reads the params at the first text, so that an attempt without texts pays nothing."""

    def __init__(self, params: str, pointers: Sequence[str]) -> None:
        self._params: str | None = params
        self._pointers = pointers
        self._values: Sequence[str] | None = None
        self._searches: dict[str, _Searches | None] = {}

    def __call__(self, text: str) -> str:
        """Return the masked text."""
        params = self._params
        if params is not None:  # two threads may both read them
            self._values = _values_at(params, self._pointers)
            self._params = None
        if self._values is None:
            return HIDDEN
        escapes = "".join(escape for escape in _SPELLINGS if escape in text)
        if escapes not in self._searches:
            self._searches[escapes] = _searches_for(self._values, escapes)
        searches = self._searches[escapes]
        return HIDDEN if searches is None else searches.masked(text)


class _Searches:
    """The searches for the beginnings and the ends of values, and for short ones."""

    def __init__(self, forms: Sequence[tuple[str, str, bool]]) -> None:
        self._long = [form for form in forms if len(form[0]) >= _SHORT]
        self._words = ShortWords(start for start, _, _ in forms if len(start) < _SHORT)
        self._forwards = SecretSearch({start.encode(): is_cut for start, _, is_cut in self._long})

    def masked(self, text: str) -> str:
        data = text.encode("utf-8", "replace")
        shown = self._forwards.masked(data, HIDDEN.encode())
        if any(elision in shown for elision in _ELISIONS):
            backwards = shown[::-1]
            masked = self._backwards.masked(backwards, HIDDEN.encode()[::-1], len(shown))
            shown = shown if masked is backwards else masked[::-1]
        return self._words.masked(text if shown is data else shown.decode(errors="ignore"), HIDDEN)

    @cached_property
    def _backwards(self) -> SecretSearch:
        return SecretSearch({end.encode()[::-1]: is_cut for _, end, is_cut in self._long})


def _searches_for(values: Iterable[str], escapes: str) -> _Searches | None:
    """Return the searches in texts that contain these escape characters. None: there are too many spellings."""
    forms = list(islice(_forms_of(values, escapes), 2 * MOST_VALUES + 1))
    return None if len(forms) > 2 * MOST_VALUES else _Searches(forms)


def _forms_of(values: Iterable[str], escapes: str) -> Iterator[tuple[str, str, bool]]:
    """Yield each spelling of the values: its beginning, its end, and whether the beginning is not all of it."""
    spellings = [spell for escape in escapes for spell in _SPELLINGS[escape]]
    for value in values:
        yield value, value, False
        is_cut = len(value) > _LONGEST_ESCAPED
        start, end = value[:_LONGEST_ESCAPED], value[-_LONGEST_ESCAPED:]
        spelled = {spell(start): spell for spell in spellings}
        for form, spell in spelled.items():
            if form != start or is_cut:
                yield form, spell(end) if is_cut else form, is_cut


def _in_html(text: str, quotation_mark: str, apostrophe: str) -> str:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return escaped.replace('"', quotation_mark).replace("'", apostrophe)


# A spelling differs from its value only in texts that contain its escape character. Each works character by character,
# so that the spelling of a beginning is the beginning of the spelling. The quotation mark makes `repr` use the other.
_SPELLINGS: dict[str, tuple[Callable[[str], str], ...]] = {
    "\\": (
        lambda text: repr('"' + text)[2:-1],
        lambda text: repr('"' + text)[2:-1].replace("\\'", "'"),
        lambda text: ascii('"' + text)[2:-1],
        lambda text: repr(b'"' + text.encode())[3:-1],
        lambda text: repr(b'"' + text.encode())[3:-1].replace("\\'", "'"),
        lambda text: encode_basestring(text)[1:-1],
        lambda text: encode_basestring_ascii(text)[1:-1],
        # JSON in `repr`, as of the body of a request, and in JSON
        lambda text: repr(encode_basestring(text))[2:-2],
        lambda text: repr(encode_basestring(text).encode())[3:-2],
        lambda text: repr(encode_basestring_ascii(text))[2:-2],
        lambda text: encode_basestring(encode_basestring(text)[1:-1])[1:-1],
        lambda text: encode_basestring_ascii(encode_basestring_ascii(text)[1:-1])[1:-1],
    ),
    "%": (lambda text: quote(text, safe=""), quote, lambda text: quote(quote(text, safe=""), safe="")),
    "+": (quote_plus,),
    "&": (
        lambda text: _in_html(text, '"', "'"),
        lambda text: _in_html(text, "&quot;", "&#x27;"),
        lambda text: _in_html(text, "&#34;", "&#39;"),
    ),
}


def _values_at(params: str, pointers: Iterable[str]) -> Sequence[str] | None:
    """Return the values at these pointers, and their lines. None: too many, or the params are not JSON."""
    if has_many_values(params):
        return None
    try:
        document: object = json.loads(params)
    except (ValueError, RecursionError):
        return None
    values: dict[str, None] = {}
    count = 0
    for part in _parts_of([at_pointer(document, pointer) for pointer in pointers]):
        count += 1 + part.count("\n")
        if count > MOST_VALUES:
            return None
        if part.strip():
            values |= {part: None, part.strip(): None}
            if "\n" in part:  # exception groups indent each line
                values.update((line, None) for line in part.splitlines() if len(line) >= _SHORT)
    return list(values)


def _parts_of(pending: list[object]) -> Iterator[str]:
    """Yield the texts and numbers below these values, and an empty text for other parts.

    Yields keys too unless they look like the names of properties, which stand in most messages.
    """
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            few = dict(islice(value.items(), MOST_VALUES + 1))
            yield from (key for key in few if not key.isidentifier() or len(key) > _DATA_KEY)
            pending += few.values()
        elif isinstance(value, list):
            pending += value[: MOST_VALUES + 1]
        elif isinstance(value, float) and value.is_integer():
            yield str(int(value))  # as a model may show it
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        yield str(value) if is_number or isinstance(value, str) else ""
