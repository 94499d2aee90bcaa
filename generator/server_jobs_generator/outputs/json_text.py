"""JSON documents as files: readable, and the same for the same value."""

from __future__ import annotations

import json
import re

_NOT_ASCII = re.compile(r"[^\0-~]")


def json_text(value: object) -> str:
    """The text of a document, in the order it was put together; what cannot be seen is escaped.

    But not beyond the first 65,536 characters: JSON escapes those by two surrogates, which readers of YAML refuse.
    """
    text = json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    return _NOT_ASCII.sub(_visible, text)


def _visible(match: re.Match[str]) -> str:
    character = match[0]
    return character if character.isprintable() or ord(character) > 0xFFFF else f"\\u{ord(character):04x}"
