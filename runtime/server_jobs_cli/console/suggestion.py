"""What somebody may have meant who wrote a name that does not exist."""

from __future__ import annotations

from collections.abc import Iterable

from server_jobs.domain.suggestions import near


def suggestion(name: str, known: Iterable[str]) -> str:
    """`did you mean 'SendEmail'?`, or the names there are. Case, `-` and `_` do not count: `send-emial` is near."""
    names = list(known)
    plain = {_plain(candidate): candidate for candidate in reversed(names)}
    close = near(_plain(name), plain)
    if close:
        return f"did you mean {plain[close[0]]!r}?"
    return f"there are {', '.join(names)}" if names else "there are none"


def _plain(name: str) -> str:
    return name.casefold().replace("_", "").replace("-", "")
