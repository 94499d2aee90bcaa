"""The work of a feed reader. It knows no queue: before and after the move it is the same file."""

import asyncio
import json
from pathlib import Path
from types import TracebackType

JOURNAL = Path("journal.jsonl")


class TooManyRequestsError(Exception):
    """The server answers again after `seconds`."""

    seconds = 1


class Client:
    """A client that keeps its connections open. The server refuses the first request for each feed."""

    async def __aenter__(self) -> "Client":
        record("client opened")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, traceback: TracebackType | None) -> None:
        record("client closed")

    async def fetch(self, feed: str) -> int:
        """Fetch a feed, and return the number of its entries."""
        await asyncio.sleep(0)
        if is_first_attempt(f"feed-{feed}"):
            record("refused", feed=feed)
            raise TooManyRequestsError
        record("fetched", feed=feed)
        return len(feed)


def mail_digest(reader: str) -> None:
    """Mail the new entries to a reader."""
    record("digest mailed", reader=reader)


def note_refresh() -> None:
    """Note that the news are refreshed."""
    record("news refreshed")


def is_first_attempt(name: str) -> bool:
    """Create a file. Return False if it exists already."""
    try:
        Path(name).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def record(event: str, **values: str | int) -> None:
    """Append an event to the journal."""
    with JOURNAL.open("a", encoding="utf-8") as journal:
        journal.write(json.dumps({"event": event, **values}) + "\n")
