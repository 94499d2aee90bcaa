"""Words of a spec made fit to be shown: what cannot be seen, or turns the text around it, is spelled out."""

from __future__ import annotations

import json

from pydantic import JsonValue


def visible(text: str) -> str:
    """The text with everything spelled out that is not printable, line breaks apart."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one == "\n" else _spelled(one) for one in text.expandtabs(4))


def one_line(text: str) -> str:
    """The same on one line."""
    return " ".join(visible(text).split())


def json_shown(value: JsonValue, indent: int | None = None) -> str:
    """JSON text in which everything can be seen, and which reads as the same value."""
    text = json.dumps(value, ensure_ascii=False, indent=indent, allow_nan=False)
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one == "\n" else json.dumps(one)[1:-1] for one in text)


def _spelled(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode()
