"""The SQL view of a job: whether its columns fit, and which of them get an index."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from server_jobs.contract.values import pointer_to

from ..options.values import INDEX_EXAMPLE
from ..problems.problem import SpecProblem, listed, nearest, shown
from ..problems.rules import OPTION_VALUE, OPTION_WITHOUT_EFFECT, POINTER_UNRESOLVED, TOO_LARGE, Mistake
from ..read.document import Document, Pointer
from ..read.keywords import Schema
from ..sql import OWN_COLUMNS, PARTS, ColumnType, can_be_indexed, redacted_properties, typed_properties

_PLACE: Pointer = ("x-job", "indexes")
# The limit of PostgreSQL. SQLite takes 2,000 columns, D1 100: see `flat_sql`.
_MOST_COLUMNS = 1_600


def view_problems(
    document: Document, parts: Mapping[str, Schema], redact: Iterable[str], *, has_view: bool
) -> Iterator[SpecProblem]:
    """Yield a problem if the view has too many columns. `parts` are the self-contained params and result schemas."""
    hidden, params = redacted_properties(redact), typed_properties(parts["params"]).keys()
    shown_params = frozenset[str]() if hidden is None else params - hidden
    count = len(OWN_COLUMNS) + len(shown_params) + len(typed_properties(parts["result"]))
    if has_view and count > _MOST_COLUMNS:
        message = f"its view would have {count:,} columns, and PostgreSQL takes {_MOST_COLUMNS:,}"
        yield document.problem(("x-job",), TOO_LARGE, f'{message}; set "view": false in x-job')


def index_problems(
    document: Document, indexes: Sequence[str], parts: Mapping[str, Schema], redact: Iterable[str], *, has_view: bool
) -> Iterator[SpecProblem]:
    """Yield problems of the pointers. `parts` are the self-contained params and result schemas."""
    if indexes and not has_view:
        message = 'needs the view, whose columns get the indexes; remove "view": false'
        yield document.problem(_PLACE, OPTION_WITHOUT_EFFECT, message, at_key=True)
        return
    columns = {part: typed_properties(parts[part]) for part in PARTS}
    hidden = redacted_properties(redact)
    known = [pointer_to((part, name)) for part in PARTS for name in columns[part]]
    for index, pointer in enumerate(indexes):
        mistake = _mistake(pointer, columns, hidden, known)
        if mistake is not None:
            yield document.problem((*_PLACE, index), *mistake)


def _mistake(
    pointer: str, columns: Mapping[str, Mapping[str, ColumnType]], hidden: frozenset[str] | None, known: list[str]
) -> Mistake | None:
    part, _, token = pointer.removeprefix("/").partition("/")
    if part not in columns or not pointer.startswith("/"):
        meant = [one for one in known if one == f"/params{pointer}"]
        hint = f" (did you mean {shown(meant[0])}?)" if meant else nearest(pointer, known)
        places = listed(f"/{each}/" for each in columns)
        return POINTER_UNRESOLVED, f"must start with {places}, {INDEX_EXAMPLE}, not {shown(pointer)}{hint}"
    name = token.replace("~1", "/").replace("~0", "~")
    if "/" not in token and name not in columns[part]:
        return POINTER_UNRESOLVED, f"{shown(pointer)} leads to no property of {part}{nearest(pointer, known)}"
    reason = _refusal(part, token, name, columns[part], hidden)
    return None if reason is None else (OPTION_VALUE, f"{shown(pointer)} {reason}")


def _refusal(
    part: str, token: str, name: str, types: Mapping[str, ColumnType], hidden: frozenset[str] | None
) -> str | None:
    if "/" in token:
        return f"leads below a property; only properties of {part} itself are columns of the view"
    if part == "params" and (hidden is None or name in hidden):
        return "is redacted, or contains a redacted value; an index would store it"
    if types[name] is ColumnType.JSON:
        return "is an array, an object or of several types; only single values have an index"
    if not can_be_indexed(name):
        return "has a quote, a backslash or an invisible character in its name, which an index does not support"
    return None
