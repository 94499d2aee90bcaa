"""The page of a rule as text for a terminal, and as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from textwrap import fill, indent

from .rule_book import RulePage

_WIDTH = 88


def plain(page: RulePage) -> str:
    """As a person reads it in a terminal."""
    return "\n\n".join(
        (
            f"{page.id}: {page.summary}",
            fill(page.why, _WIDTH),
            f"Wrong, {_at(page.place)}:",
            indent(page.wrong, "    "),
            "Right:",
            indent(page.right, "    "),
        )
    )


def table(pages: Iterable[RulePage]) -> list[str]:
    """One line a rule."""
    listed = list(pages)
    width = max(len(page.id) for page in listed)
    return [f"{page.id:<{width}}  {page.summary}" for page in listed]


def document(page: RulePage) -> dict[str, str]:
    """The JSON form."""
    return {
        "id": page.id,
        "summary": page.summary,
        "why": page.why,
        "place": page.place,
        "wrong": page.wrong,
        "right": page.right,
    }


def _at(place: str) -> str:
    return f"at {place} of a spec" if place.startswith("/") else place
