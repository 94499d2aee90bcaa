"""What an import has done so far, row by row, and its result in the end."""

from __future__ import annotations

from collections import Counter

from ..models.import_csv import BrokenRule, ImportCsvParams, ImportCsvResult, RejectedRow
from .csv_source import CsvRow
from .row_rules import RowRules, Value, Violation


class ImportReport:
    """Counts every row and every broken rule; lists rejected rows up to the number the params ask for."""

    def __init__(self, params: ImportCsvParams) -> None:
        self._table = params.table
        self._room = params.max_reported_rows
        self._rejected: list[RejectedRow] = []
        self._rows_broken: Counter[str] = Counter()
        self._rows_read = 0
        self._rows_rejected = 0
        self.rows_changed = 0

    def accepted(self, batch: list[CsvRow], rules: RowRules) -> list[list[Value]]:
        """The values of the good rows; the bad ones are noted."""
        accepted: list[list[Value]] = []
        for row in batch:
            values, violations = rules.check(row)
            if violations:
                self._reject(row, violations)
            else:
                accepted.append(values)
        self._rows_read += len(batch)
        return accepted

    def summary(self) -> str:
        """How far it is, for people."""
        return f"{self._rows_read:,} rows read, {self._rows_rejected:,} rejected"

    def result(self) -> ImportCsvResult:
        """What the job returns."""
        return ImportCsvResult(
            table=self._table,
            rows_read=self._rows_read,
            rows_imported=self._rows_read - self._rows_rejected,
            rows_changed=self.rows_changed,
            rows_rejected=self._rows_rejected,
            broken_rules=[BrokenRule(rule=rule, rows=rows) for rule, rows in self._rows_broken.most_common()],
            rejected=self._rejected,
        )

    def _reject(self, row: CsvRow, violations: list[Violation]) -> None:
        self._rows_rejected += 1
        self._rows_broken.update(violation.rule for violation in violations)
        if len(self._rejected) < self._room:
            self._rejected.append(RejectedRow(line=row.line, problems=[str(violation) for violation in violations]))
