"""The Hrana protocol over HTTP in JSON: requests to libSQL servers, and their answers.

A transaction is one request: a batch in which each step depends on the success of the one before. No connection stays
reserved, and a lost answer leaves nothing open. Each request also closes its stream.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TypeVar, cast

from server_jobs.databases.parameter_styles import in_style
from server_jobs.domain.interfaces import Row, Statement, Value

from .hrana_values import MalformedAnswerError, UnsendableValueError, read, written

T = TypeVar("T")

Call = tuple[Statement, Mapping[str, Value]]

_BUSY = ("SQLITE_BUSY", "SQLITE_LOCKED", "TRANSACTION_TIMEOUT", "TRANSACTION_BUSY")
_STREAM_LOST = ("STREAM_EXPIRED", "STREAM_CLOSED")


class RefusedError(Exception):
    """An error of the server, with its message and code."""

    def __init__(self, message: str, code: str) -> None:
        self.message = message
        self.code = code
        super().__init__(message)

    @property
    def is_busy(self) -> bool:
        """Whether another transaction blocked the request. Nothing was changed."""
        return self.code.startswith(_BUSY) or "database is locked" in self.message

    @property
    def is_loss(self) -> bool:
        """Whether the server lost the stream of the statements."""
        return self.code in _STREAM_LOST


# --- requests --------------------------------------------------------------------------------------------------------


def request(calls: Sequence[Call]) -> str:
    """Return the request for these statements, as one transaction.

    Raises `UnsendableValueError`.
    """
    work: dict[str, object]
    if len(calls) == 1:
        work = {"type": "execute", "stmt": _statement(*calls[0])}
    else:
        work = {"type": "batch", "batch": {"steps": _transaction(calls)}}
    document = {"baton": None, "requests": [work, {"type": "close"}]}
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    if not _is_unicode(text):
        raise UnsendableValueError("a text contains a lone surrogate, which is not valid Unicode")
    return text


def _transaction(calls: Sequence[Call]) -> list[dict[str, object]]:
    # A read waits for no writer. A write takes the lock at once, because SQLite cannot wait for it later.
    begin = "BEGIN IMMEDIATE" if any(statement.writes for statement, _ in calls) else "BEGIN"
    steps: list[dict[str, object]] = [{"stmt": {"sql": begin}}]
    for number, call in enumerate(calls):
        steps.append({"condition": _went_well(number), "stmt": _statement(*call)})
    commit = len(steps)
    steps.append({"condition": _went_well(commit - 1), "stmt": {"sql": "COMMIT"}})
    steps.append({"condition": {"type": "not", "cond": _went_well(commit)}, "stmt": {"sql": "ROLLBACK"}})
    return steps


def _went_well(step: int) -> dict[str, object]:
    return {"type": "ok", "step": step}


def _statement(statement: Statement, parameters: Mapping[str, Value]) -> dict[str, object]:
    # By position, because not every server supports names. Without parameters, a colon has no meaning.
    sql, names = in_style(statement.sql, "numbered") if parameters else (statement.sql, ())
    return {"sql": sql, "args": [written(parameters[name]) for name in names], "want_rows": True}


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


# --- answers ---------------------------------------------------------------------------------------------------------


def answered_rows(answer: str, statements: int) -> list[list[Row]]:
    """Return the rows of each statement.

    Raises `RefusedError` if a statement failed; nothing was changed then. Raises `MalformedAnswerError`.
    """
    results = _member(_document(answer), "results", list)
    if len(results) != 2:  # the second one reports the closed stream
        raise MalformedAnswerError(f"there are {len(results)} results for 2 requests")
    kind = "execute" if statements == 1 else "batch"
    match results[0]:
        case {"type": "error", "error": error}:
            raise _refusal(error)
        case {"type": "ok", "response": {"type": str(answered), "result": result}} if answered == kind:
            return [_rows(result)] if kind == "execute" else _batch_rows(result, statements)
        case _:
            raise MalformedAnswerError(f"the answer to {kind!r} is {_shown(results[0])}")


def refusal_in(text: str) -> RefusedError | None:
    """Return the error in the body of a failed request, or None for another body, such as a page of a proxy."""
    try:
        document = _document(text)
    except MalformedAnswerError:
        return None
    match document:
        case {"message": str(message)} | {"error": str(message)} | {"error": {"message": str(message)}}:
            code = document.get("code")
            return RefusedError(message, code if isinstance(code, str) else "")
        case _:
            return None


def _document(text: str) -> dict[str, object]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MalformedAnswerError(f"{_shown(text)} is no JSON") from error
    if not isinstance(document, dict):
        raise MalformedAnswerError(f"{_shown(document)} is no JSON object")
    return document


def _batch_rows(result: object, statements: int) -> list[list[Row]]:
    """Return the rows of the statements between BEGIN and COMMIT, after checking that COMMIT succeeded."""
    steps = statements + 3  # plus BEGIN, COMMIT and ROLLBACK
    results, errors = _member(result, "step_results", list), _member(result, "step_errors", list)
    if len(results) != steps or len(errors) != steps:
        raise MalformedAnswerError(f"there are {len(results)} results and {len(errors)} errors for {steps} steps")
    for error in errors[:-1]:  # ROLLBACK may fail because nothing is open
        if error is not None:
            raise _refusal(error)
    _member({"COMMIT": results[-2]}, "COMMIT", dict)
    return [_rows(one) for one in results[1:-2]]


def _rows(result: object) -> list[Row]:
    names = [_name(column) for column in _member(result, "cols", list)]
    return [_row(names, values) for values in _member(result, "rows", list)]


def _name(column: object) -> str:
    """Return the name of a column, or an empty text: the name is optional in the protocol."""
    return "" if isinstance(column, dict) and column.get("name") is None else _member(column, "name", str)


def _row(names: Sequence[str], values: object) -> Row:
    if not isinstance(values, list) or len(values) != len(names):
        raise MalformedAnswerError(f"a row is {_shown(values)}, and there are {len(names)} columns")
    # Only other programs write bytes.
    return {name: cast("Value", read(value)) for name, value in zip(names, values, strict=True)}


def _refusal(error: object) -> RefusedError:
    code = error.get("code") if isinstance(error, dict) else None
    return RefusedError(_member(error, "message", str), code if isinstance(code, str) else "")


def _member(parent: object, name: str, kind: type[T]) -> T:
    value = parent.get(name) if isinstance(parent, dict) else None
    if not isinstance(value, kind):
        raise MalformedAnswerError(f"{name!r} is {_shown(value)}, not a {kind.__name__}")
    return value


def _shown(value: object) -> str:
    text = str(value)
    return repr(text) if len(text) <= 100 else f"{text[:100]!r}…"
