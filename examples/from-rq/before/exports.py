"""The work of an application that exports orders. It knows no queue: before and after the move it is the same file."""

import json
from collections.abc import Iterator
from pathlib import Path

JOURNAL = Path("journal.jsonl")


def write_orders(customer: str, rows: int) -> Iterator[int]:
    """Write the orders of a customer, and yield the finished percentage. The disk is full at the first attempt."""
    for row in range(0, rows, 10):
        yield 100 * row // rows
        if is_first_attempt(f"export-{customer}"):
            raise OSError("no space left on device")
    record("exported", customer=customer, rows=rows)


def report_failure(customer: str) -> None:
    """Tell the operator that an export failed."""
    record("export failed", customer=customer)


def mail_reminder(customer: str) -> None:
    """Remind a customer of an export that is ready."""
    record("reminded", customer=customer)


def delete_files(days: int) -> None:
    """Delete exports that are older than some days."""
    record("deleted", days=days)


def is_first_attempt(name: str) -> bool:
    """Create a file. Return False if it exists already."""
    try:
        Path(name).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def record(event: str, **values: str | int) -> None:
    """Append an event to the journal. One write, so that lines of several processes do not mix."""
    with JOURNAL.open("a", encoding="utf-8") as journal:
        journal.write(json.dumps({"event": event, **values}) + "\n")
