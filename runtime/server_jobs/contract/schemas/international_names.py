"""Labels of international host names: IDNA 2008 (RFC 5891 to 5893), with Python's Unicode tables."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import cache

_LETTERS = frozenset({"Ll", "Lu", "Lo", "Lm", "Mn", "Mc", "Nd"})
# RFC 5892, section 2.6: exceptions to the rules of the categories.
_VALID = frozenset("\u00df\u03c2\u06fd\u06fe\u0f0b\u3007")
_INVALID = frozenset("\u0640\u07fa\u302e\u302f\u3031\u3032\u3033\u3034\u3035\u303b")
_OLD_HANGUL = re.compile("[\u1100-\u11ff\ua960-\ua97f\ud7b0-\ud7ff]")
_VIRAMA = 9

_ARABIC_DIGITS = frozenset(map(chr, range(0x660, 0x66A)))
_EXTENDED_DIGITS = frozenset(map(chr, range(0x6F0, 0x6FA)))


def is_international_label(label: str, *, is_normalized: bool = True) -> bool:
    """Return whether a label with non-ASCII characters may be registered.

    Checks the characters, their neighbours and the direction of the text. A zero width non-joiner between joining
    letters passes for Arabic only. With `is_normalized=False`, normal forms other than NFC pass too.
    """
    normal = unicodedata.normalize("NFC", label)
    if (is_normalized and normal != label) or label.startswith("-") or label.endswith("-") or label[2:4] == "--":
        return False
    if not normal or unicodedata.category(normal[0])[0] == "M":
        return False
    return all(_is_allowed(normal, index) for index in range(len(normal))) and _has_one_direction(normal)


def _is_allowed(label: str, index: int) -> bool:
    character = label[index]
    if character in _CONTEXTS:
        return _CONTEXTS[character](label, index)
    if character in _ARABIC_DIGITS:
        return not _EXTENDED_DIGITS & set(label)
    if character in _EXTENDED_DIGITS:
        return not _ARABIC_DIGITS & set(label)
    if character in _VALID or character == "-":
        return True
    if character in _INVALID or _OLD_HANGUL.match(character):
        return False
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", character).casefold())
    return unicodedata.category(character) in _LETTERS and folded == character


def _has_one_direction(label: str) -> bool:
    """Apply the Bidi rule of RFC 5893 for a label that may stand in any name."""
    kinds = [unicodedata.bidirectional(character) for character in label]
    if not {"R", "AL", "AN"} & set(kinds):
        return True
    marks_aside = [kind for kind in kinds if kind != "NSM"]
    return (
        kinds[0] in ("R", "AL")
        and set(kinds) <= {"R", "AL", "AN", "EN", "ES", "CS", "ET", "ON", "BN", "NSM"}
        and marks_aside[-1] in ("R", "AL", "EN", "AN")
        and not {"EN", "AN"} <= set(kinds)
    )


def _script_is(character: str, *scripts: str) -> bool:
    return unicodedata.name(character, "").startswith(scripts)


def _around(label: str, index: int) -> tuple[str, str]:
    return label[index - 1 : index] if index else "", label[index + 1 : index + 2]


def _middle_dot(label: str, index: int) -> bool:
    return _around(label, index) == ("l", "l")


def _keraia(label: str, index: int) -> bool:
    return _script_is(_around(label, index)[1] or " ", "GREEK")


def _geresh(label: str, index: int) -> bool:
    return _script_is(_around(label, index)[0] or " ", "HEBREW")


def _katakana_dot(label: str, index: int) -> bool:
    others = (character for character in label if character != label[index])
    return any(_script_is(other, "HIRAGANA", "KATAKANA", "CJK UNIFIED", "CJK COMPATIBILITY") for other in others)


def _joiner(label: str, index: int) -> bool:
    before, _ = _around(label, index)
    return bool(before) and unicodedata.combining(before) == _VIRAMA


def _non_joiner(label: str, index: int) -> bool:
    if _joiner(label, index):
        return True
    before = label[:index].rstrip(_transparent(label))
    after = label[index + 1 :].lstrip(_transparent(label))
    joins_on, joins_back = _joining()
    return before[-1:] in joins_on and after[:1] in joins_back


def _transparent(label: str) -> str:
    return "".join(character for character in label if unicodedata.category(character) in ("Mn", "Me", "Cf"))


@cache
def _joining() -> tuple[frozenset[str], frozenset[str]]:
    """Return the Arabic letters that join to the next letter, and the letters that join to the one before."""
    forms: dict[str, set[str]] = {"<initial>": set(), "<final>": set()}
    for code in range(0xFB50, 0xFEFD):
        kind, *letters = unicodedata.decomposition(chr(code)).split() or [""]
        if kind in forms and len(letters) == 1:
            forms[kind].add(chr(int(letters[0], 16)))
    return frozenset(forms["<initial>"]), frozenset(forms["<final>"])


# RFC 5892, appendix A.
_CONTEXTS: Mapping[str, Callable[[str, int], bool]] = {
    "\u00b7": _middle_dot,
    "\u0375": _keraia,
    "\u05f3": _geresh,
    "\u05f4": _geresh,
    "\u30fb": _katakana_dot,
    "\u200d": _joiner,
    "\u200c": _non_joiner,
}
