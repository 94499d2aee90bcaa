"""The parts that several modules share."""

from __future__ import annotations

from ...domain.record import WAITS

LEASE = "CAST(:lease AS bigint) * interval '1 millisecond'"


def moment(milliseconds: str) -> str:
    """Return SQL for a time from milliseconds since the epoch. An interval times the number would lose precision."""
    return (
        f"timestamptz 'epoch' + {milliseconds} / 1000 * interval '1 second'"
        f" + {milliseconds} % 1000 * interval '1 millisecond'"
    )


def elements(name: str) -> str:
    return f"SELECT json_array_elements_text(CAST(:{name} AS json))"


OF_QUEUES = f"queue = ANY(ARRAY({elements('queues')}))"
WAITS_SQL = f"timestamptz '{WAITS.isoformat()}'"
