"""Names and texts in SQL: nothing of a spec stands there but between quotes that it cannot end."""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import sha256
from itertools import groupby

# PostgreSQL cuts longer ones, silently.
_LONGEST_BYTES = 63
_DIGEST = 8
# Those of our tables that a view could be called like; their module would bring SQLAlchemy along.
_TABLES = frozenset({"cron_jobs"})
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")


def view_name(spec_name: str) -> str:
    """The view of a job; `…_view` where a table of server-jobs is called so."""
    name = shortened(spec_name, "_jobs")
    return f"{name}_view" if name in _TABLES else name


def index_name(view: str, column: str) -> str:
    """The index on one column of a view."""
    return shortened(f"{view}_{column}", "_idx")


def shortened(name: str, ending: str = "") -> str:
    """The name with its ending, if PostgreSQL takes it; else its start and a digest of all of it, with the ending."""
    if len(f"{name}{ending}".encode()) <= _LONGEST_BYTES:
        return f"{name}{ending}"
    room = _LONGEST_BYTES - len(ending.encode()) - _DIGEST - 1
    start = name.encode()[:room].decode("utf-8", "ignore")
    return f"{start}_{sha256(name.encode()).hexdigest()[:_DIGEST]}{ending}"


def can_be_indexed(json_name: str) -> bool:
    """Whether SQLite can reach a property without a subquery, which an index cannot have."""
    return json_name.isprintable() and not {'"', "\\"} & set(json_name)


def identifier(name: str) -> str:
    """A name as both databases read it. Those of views and their columns are no reserved words: see their endings."""
    return name if _PLAIN.fullmatch(name) else '"' + name.replace('"', '""') + '"'


def postgresql_text(value: str) -> str:
    """A string constant, whatever `standard_conforming_strings` says."""
    if value.isprintable() and "\\" not in value:
        return "'" + value.replace("'", "''") + "'"
    return "E'" + "".join(map(_postgresql_character, value)) + "'"


def sqlite_text(value: str) -> str:
    """A string constant; an expression where there are characters that a file would not keep as they are."""
    runs = groupby(value, str.isprintable)
    pieces = [piece for is_printable, run in runs for piece in (_quoted(run) if is_printable else map(_code, run))]
    return pieces[0] if len(pieces) == 1 else f"({' || '.join(pieces)})"


def _quoted(run: Iterable[str]) -> list[str]:
    return ["'" + "".join(run).replace("'", "''") + "'"]


def _code(character: str) -> str:
    return f"char({ord(character)})"


def _postgresql_character(character: str) -> str:
    if character in ("'", "\\"):
        return character * 2
    return character if character.isprintable() else f"\\U{ord(character):08X}"
