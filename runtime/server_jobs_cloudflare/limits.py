"""Default limits inside a Cloudflare Worker: time and database queries."""

from __future__ import annotations

from datetime import timedelta

from server_jobs.domain.text_limits import clean_text
from server_jobs.errors import InvalidOptionError

TICK_BUDGET = timedelta(seconds=25)
AT_ONCE_BUDGET = timedelta(seconds=20)
"""Time for work after the response to a request. Cloudflare ends it 30 seconds after the response."""

MOST_QUERIES = 1000
FEWEST_CONFIGURED = 20  # with fewer no job would ever run
MOST_CONFIGURED = 1_000_000
QUERIES_VARIABLE = "JOBS_MAX_QUERIES"


def queries_in(value: object) -> int | None:
    """The number of queries that the variable says, which is text or, in JSON, a number; None if it says nothing.

    Raises `InvalidOptionError` for another one.
    """
    if not isinstance(value, str | int | float):
        return None
    text = str(value).strip()
    if not text:
        return None
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0
    if not FEWEST_CONFIGURED <= number <= MOST_CONFIGURED:
        raise InvalidOptionError(
            f"the variable {QUERIES_VARIABLE} must be a whole number between {FEWEST_CONFIGURED} and "
            f"{MOST_CONFIGURED:,}, not '{clean_text(text, 20)}'"
        )
    return number
