"""Reading a CSV file row by row, with the line each row starts at and an honest measure of how far it has got."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, cast

_MOST_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class CsvRow:
    """One row as the file has it. `fault` says why it could not be read; its cells are empty then."""

    line: int
    cells: list[str]
    fault: str | None = None


class _SmallReads(io.FileIO):
    """A file that gives little at a time: `gzip` asks for so much that its position would run far ahead of the rows."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(_MOST_BYTES if size is None or size < 0 else min(size, _MOST_BYTES))


class CsvSource:
    """An open `.csv` or `.csv.gz` file in UTF-8. Iterating gives its rows and never holds more than one of them.

    Bytes that are not UTF-8 become U+FFFD, so that they spoil the one row they are in.
    """

    def __init__(self, path: Path) -> None:
        self._file = _SmallReads(path)
        self._size = path.stat().st_size
        unpacked = gzip.GzipFile(fileobj=self._file) if path.suffix == ".gz" else io.BufferedReader(self._file)
        text = io.TextIOWrapper(cast("BinaryIO", unpacked), encoding="utf-8-sig", errors="replace", newline="")
        self._reader = csv.reader(text, strict=True)

    def __enter__(self) -> CsvSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def percent(self) -> float:
        """The share of the file's bytes that has been read from disk, packed ones if it is packed."""
        return 100 * self._file.tell() / self._size if self._size else 100

    def __iter__(self) -> Iterator[CsvRow]:
        while True:
            line = self._reader.line_num + 1
            try:
                cells = next(self._reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield CsvRow(line, [], fault=str(error))
                continue
            if cells:
                yield CsvRow(line, cells)
