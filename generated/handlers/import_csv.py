"""`ImportCsv`: stream a CSV file into a table, keep the good rows, and say what is wrong with the others.

Written by hand; the generator never touches it. The database is the file that `EXAMPLE_DATABASE` names.
"""

from __future__ import annotations

import os
import sqlite3  # cloudflare: ok -- imports are left to workers of machines with a disk
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

from server_jobs import JobContext

from ..models.import_csv import ImportCsvParams, ImportCsvResult
from .csv_source import CsvRow, CsvSource
from .import_report import ImportReport
from .row_rules import RowRules
from .sqlite_table import SqliteTable

# Some milliseconds of work, and one transaction.
_BATCH = 500


async def handle(params: ImportCsvParams, context: JobContext) -> ImportCsvResult:
    """Import the file in batches, each in one transaction; a run that was cut short is completed by the next one.

    Raises `ValueError` when the params do not fit each other or the file, `OSError` when it cannot be read.
    """
    with CsvSource(_path_of(params.source)) as source, closing(_opened_database()) as connection:
        rows = iter(source)
        rules = RowRules(params, _header_of(params.source, rows))
        report = ImportReport(params)
        table = SqliteTable(connection, params)
        while batch := list(islice(rows, _BATCH)):
            report.rows_changed += table.upsert(report.accepted(batch, rules))
            # Here the other jobs of the worker get their turn, and a job that is to stop is stopped.
            await context.update_progress(source.percent, report.summary())
    context.log.info(report.summary())
    return report.result()


def _path_of(source: str) -> Path:
    folder = Path(os.environ.get("IMPORT_DIR", ".")).resolve()
    path = (folder / source).resolve()
    # Params come from whoever may enqueue; they must not open the rest of the disk to them.
    if not path.is_relative_to(folder):
        raise ValueError(f"{source} is outside the import folder; move the file there, or set IMPORT_DIR")
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {source} in the import folder {folder}; IMPORT_DIR sets the folder")
    return path


def _opened_database() -> sqlite3.Connection:
    path = os.environ.get("EXAMPLE_DATABASE", "examples.sqlite3")
    return sqlite3.connect(path)


def _header_of(source: str, rows: Iterator[CsvRow]) -> list[str]:
    first = next(rows, None)
    if first is None or first.fault is not None:
        raise ValueError(f"{source} has no header; its first line must name the columns")
    return [name.strip() for name in first.cells]
