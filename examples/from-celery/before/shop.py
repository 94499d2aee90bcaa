"""The work of a small shop. It knows no queue: the applications before and after the move use the same file."""

import json
from pathlib import Path

JOURNAL = Path("journal.jsonl")


class CardDeclinedError(Exception):
    """The bank refuses the card. Another attempt does not help."""


class MailServerBusyError(Exception):
    """The mail server accepts the mail after `seconds`."""

    seconds = 1


def charge_card(order: int, cents: int) -> str:
    """Charge an order. The bank cannot be reached at the first attempt."""
    record("charge attempted", order=order)
    if cents > 100_000:
        raise CardDeclinedError(f"order {order}: the card was declined")
    if is_first_attempt(f"charge-{order}"):
        raise ConnectionError("the bank does not answer")
    record("charged", order=order, cents=cents)
    return f"payment-{order}"


def mail_receipt(payment: str, to: str) -> None:
    """Mail a receipt. The mail server is busy at the first attempt."""
    if is_first_attempt(f"receipt-{payment}"):
        raise MailServerBusyError
    record("receipt mailed", payment=payment, to=to)


def mail_code(to: str, code: str) -> None:
    """Mail a login code."""
    record("code mailed", to=to, code=code)


def resize(image: str) -> int:
    """Resize an image, and return its size in bytes."""
    record("resized", image=image)
    return 1000 * len(image)


def publish(title: str, sizes: list[int]) -> None:
    """Publish an album of resized images."""
    record("published", title=title, bytes=sum(sizes))


def count_stock(warehouse: str) -> None:
    """Count the stock of a warehouse."""
    record("stock counted", warehouse=warehouse)


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
