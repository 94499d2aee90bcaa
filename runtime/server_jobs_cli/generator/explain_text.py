"""An explanation as text: for a terminal, and in Markdown."""

from __future__ import annotations

import json
from collections.abc import Iterable
from textwrap import fill, indent

from server_jobs_generator.explanations.explanation import Explanation

_WIDTH = 88
_MOST_LINES = 30


def plain(explanation: Explanation) -> str:
    """As a person reads it in a terminal."""
    example = explanation.example
    return "\n\n".join(
        (
            f"{explanation.rule.id}: {explanation.rule.summary}",
            fill(explanation.why, _WIDTH),
            f"Wrong, {_at(example.place)}:",
            indent(_laid_out(example.wrong, example.language), "    "),
            "Right:",
            indent(_laid_out(example.right, example.language), "    "),
        )
    )


def markdown(explanation: Explanation) -> str:
    """As services show it beside a result."""
    example = explanation.example
    blocks = (f"```{example.language}\n{_laid_out(text, example.language)}\n```" for text in _both(explanation))
    wrong, right = blocks
    return f"{explanation.why}\n\nWrong, {_at(example.place)}:\n\n{wrong}\n\nRight:\n\n{right}"


def table(explanations: Iterable[Explanation]) -> list[str]:
    """One line a rule."""
    rules = [explanation.rule for explanation in explanations]
    width = max(len(rule.id) for rule in rules)
    return [f"{rule.id:<{width}}  {rule.summary}" for rule in rules]


def document(explanation: Explanation) -> dict[str, str]:
    """The JSON form."""
    example = explanation.example
    return {
        "id": explanation.rule.id,
        "summary": explanation.rule.summary,
        "why": explanation.why,
        "place": example.place,
        "wrong": example.wrong,
        "right": example.right,
    }


def _both(explanation: Explanation) -> tuple[str, str]:
    return explanation.example.wrong, explanation.example.right


def _at(place: str) -> str:
    return f"at {place} of a spec" if place.startswith("/") else place


def _laid_out(text: str, language: str) -> str:
    """Long JSON over several lines, where it is JSON at all and loses nothing by it."""
    if language != "json" or len(text) <= _WIDTH:
        return text
    try:
        lines = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except ValueError:
        return fill(text, _WIDTH)
    return lines if lines.count("\n") < _MOST_LINES else fill(text, _WIDTH)
