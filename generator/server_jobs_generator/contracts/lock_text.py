"""How the lock is laid out: a line for each property and each definition, so that a change of one is a line in a diff.

What stands inside of one is written on its line: whole values are encoded many times faster than key by key.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from json.encoder import encode_basestring

from pydantic import JsonValue

_encode = json.JSONEncoder(ensure_ascii=False, sort_keys=True).encode


@dataclass(frozen=True, slots=True)
class _Lines:
    """A line for each member, where those named here, or else all `others`, have lines of their own inside.

    A value with none of the named members is short, and stays on one line.
    """

    members: Mapping[str, _Lines] = field(default_factory=dict[str, "_Lines"])
    others: _Lines | None = None


_DEFINITION = _Lines({"properties": _Lines()})
_SCHEMA = _Lines({"$defs": _Lines(others=_DEFINITION), "properties": _Lines()})
_REVISIONS = _Lines(others=_Lines({"params": _SCHEMA, "result": _SCHEMA}))
_JOB = _Lines({"versions": _Lines(others=_REVISIONS)})
_LOCK = _Lines({"jobs": _Lines(others=_JOB)})


def lock_text(document: JsonValue) -> str:
    """The text of the file, the same for equal documents."""
    return _text(document, _LOCK, "\n") + "\n"


def _text(value: JsonValue, lines: _Lines | None, margin: str) -> str:
    """A value that begins on the line where its key stands; `margin` comes before its last line."""
    if lines is None or not value or not isinstance(value, dict | list):
        return _encode(value)
    if lines.members and lines.members.keys().isdisjoint(value):
        return _encode(value)
    inner = f"{margin}  "
    if isinstance(value, list):
        items = f",{inner}".join(_text(item, lines.others, inner) for item in value)
        return f"[{inner}{items}{margin}]"
    members = f",{inner}".join(
        f"{encode_basestring(key)}: {_text(value[key], lines.members.get(key, lines.others), inner)}"
        for key in sorted(value)
    )
    return f"{{{inner}{members}{margin}}}"
