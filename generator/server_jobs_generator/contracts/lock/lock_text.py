"""How the lock is laid out: a line for each property and each definition, so that a change of one is a line in a diff.

What stands inside of one is written on its line: whole values are encoded many times faster than key by key. The entry
of a job is a text of its own, so that those of jobs about which nothing is new need be neither read nor written anew.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from json.encoder import encode_basestring

from pydantic import JsonValue

from ...files.manifest import hash_content

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

FORMAT = 1
_NOTE = "Kept by `server-jobs generate`; commit it, and do not edit it."
_MARGIN = "\n    "
_HEAD = f'{{\n  "format": {FORMAT},\n  "jobs": {{'
_TAIL = f'}},\n  "note": {_encode(_NOTE)}\n}}\n'
_END = "\n  "
_ENTRY = re.compile(rf'"(\w+)": \{{{_MARGIN}  "[^\n].*{_MARGIN}\}}', re.DOTALL)


def entry_text(name: str, document: JsonValue) -> str:
    """A job and what is locked of it, as it stands in the file; the same for equal documents."""
    return f"{encode_basestring(name)}: {_text(document, _JOB, _MARGIN)}"


def document_in(entry: str) -> str:
    """What stands behind the name of the job."""
    return entry.partition(": ")[2]


def hash_of(entry: str) -> str:
    """A hash of an entry: of nothing but its text, so that it is known without reading it."""
    return hash_content(entry.encode())


def lock_text(entries: Mapping[str, str]) -> str:
    """The text of the file, of the entries by the names of their jobs."""
    if not entries:
        return f"{_HEAD}{_TAIL}"
    return f"{_HEAD}{_MARGIN}{f',{_MARGIN}'.join(entries[name] for name in sorted(entries))}{_END}{_TAIL}"


def entries_in(text: str) -> dict[str, str]:
    """The entries of a file, by the names of their jobs, if it is laid out like that and names no job twice; else none.

    Whether they can be understood is for others to see.
    """
    before, after = f"{_HEAD}{_MARGIN}", f"{_END}{_TAIL}"
    if not (text.startswith(before) and text.endswith(after)):
        return {}
    parts = text[len(before) : -len(after)].split(f',{_MARGIN}"')
    found = [_ENTRY.fullmatch(part) for part in (parts[0], *(f'"{part}' for part in parts[1:]))]
    entries = {match[1]: match[0] for match in found if match is not None}
    return entries if len(entries) == len(parts) else {}


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
