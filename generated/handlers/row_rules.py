"""The rules that a row of a CSV file keeps before it may enter a table."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..models.import_csv import Column, ImportCsvParams
from .csv_source import CsvRow

Value = str | int | float | None

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d{1,19}", re.ASCII)
_LARGEST_INTEGER = 2**63 - 1
_LONGEST_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that a row breaks, and in what way."""

    rule: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.rule}: {self.detail}" if self.detail else self.rule


class RowRules:
    """The columns to take out of each row, where they are in the file, and what their values must be.

    Raises `ValueError` when the params contradict themselves or the header of the file.
    """

    def __init__(self, params: ImportCsvParams, header: Sequence[str]) -> None:
        self._width = len(header)
        self._columns = _placed(params, header)
        self._key = params.key

    def check(self, row: CsvRow) -> tuple[list[Value], list[Violation]]:
        """The values in the order of the columns, and every violation; with one, the values are not to be used."""
        if row.fault is not None:
            return [], [Violation(f"row is not valid CSV, {row.fault}")]
        if len(row.cells) != self._width:
            return [], [Violation(f"row does not have {self._width} values", f"it has {len(row.cells)}")]
        checked = [self._check_value(column, row.cells[place].strip()) for column, place in self._columns]
        violations = [entry for entry in checked if isinstance(entry, Violation)]
        return [entry for entry in checked if not isinstance(entry, Violation)], violations

    def _check_value(self, column: Column, text: str) -> Value | Violation:
        if not text:
            required = column.required or column.name == self._key
            return Violation(f"{column.name} is empty") if required else None
        match column.type:
            case "text":
                return _check_text(column, text)
            case "integer":
                return _check_integer(column, text)
            case "number":
                return _check_number(column, text)


def _placed(params: ImportCsvParams, header: Sequence[str]) -> list[tuple[Column, int]]:
    names = [column.name for column in params.columns]
    if params.key not in names:
        raise ValueError(f"the key {params.key!r} is not among the columns: {', '.join(names)}")
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"a column can be imported once only, not several times: {', '.join(repeated)}")
    if bounded := [column.name for column in params.columns if column.type == "text" and _is_bounded(column)]:
        raise ValueError(f"only numbers have a minimum or a maximum, but these columns are text: {', '.join(bounded)}")
    if missing := [name for name in names if name not in header]:
        raise ValueError(f"{params.source} has no column {', '.join(missing)}; its header has: {', '.join(header)}")
    return [(column, header.index(column.name)) for column in params.columns]


def _is_bounded(column: Column) -> bool:
    return column.minimum is not None or column.maximum is not None


def _check_text(column: Column, text: str) -> str | Violation:
    if "\ufffd" in text:
        return Violation(f"{column.name} is not valid UTF-8", _shown(text))
    if "\0" in text:
        return Violation(f"{column.name} contains a NUL character", _shown(text))
    return text


def _check_integer(column: Column, text: str) -> int | Violation:
    if not _INTEGER.fullmatch(text) or abs(int(text)) > _LARGEST_INTEGER:
        return Violation(f"{column.name} is not a whole number of 64 bits", _shown(text))
    return _out_of_range(column, int(text), text) or int(text)


def _check_number(column: Column, text: str) -> float | Violation:
    if not _NUMBER.fullmatch(text) or math.isinf(float(text)):
        return Violation(f"{column.name} is not a number", _shown(text))
    return _out_of_range(column, float(text), text) or float(text)


def _out_of_range(column: Column, number: float, text: str) -> Violation | None:
    if column.minimum is not None and number < column.minimum:
        return Violation(f"{column.name} is below {column.minimum:g}", _shown(text))
    if column.maximum is not None and number > column.maximum:
        return Violation(f"{column.name} is above {column.maximum:g}", _shown(text))
    return None


def _shown(text: str) -> str:
    return repr(text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}...")
