"""The parts that several modules share, and the statements about the schema."""

from __future__ import annotations

from ...domain.record import WAITS
from ..columns import JOB_COLUMNS
from ..job_filters import matching
from ..statements.common import NEEDED, PARKED

# Fails if a table or a column is missing. It reads the catalog only: a role need not be allowed to read every table.
PROBE = "SELECT " + ", ".join(
    f"has_column_privilege(regclass '{table}', '{column}', 'SELECT')"
    for table, columns in {"jobs": JOB_COLUMNS, **NEEDED}.items()
    for column in columns.split(", ")
)

LEASE = "CAST(:lease AS bigint) * interval '1 millisecond'"


def moment(milliseconds: str) -> str:
    """Return SQL for a time from milliseconds since the epoch. An interval times the number would lose precision."""
    return (
        f"timestamptz 'epoch' + {milliseconds} / 1000 * interval '1 second'"
        f" + {milliseconds} % 1000 * interval '1 millisecond'"
    )


GIVEN_NOW = f"({moment('CAST(:now AS bigint)')})"


def value(name: str, kind: str) -> str:
    """Return the SQL of a parameter of this type."""
    return f"CAST(:{name} AS {kind})"


def elements(name: str) -> str:
    return f"SELECT json_array_elements_text(CAST(:{name} AS json))"


def _ago(name: str) -> str:
    return f"{{now}} - CAST(:{name} AS bigint) * interval '1 millisecond'"


def jobs_by(index: str) -> str:
    """Return the table of jobs. The server chooses the index that has the condition of the query."""
    del index
    return "jobs"


OF_QUEUES = f"queue = ANY(ARRAY({elements('queues')}))"

# The condition of a filter.
MATCHES = f"{matching(value, elements, _ago)}\n   AND (CAST(:parked AS integer) = 0 OR {PARKED})"

WAITS_SQL = f"timestamptz '{WAITS.isoformat()}'"
