"""The page of each rule: what it is about, why it is one, and an example of the mistake and its fix.

A page is Markdown of one fixed shape, in the generator's folder `rules`. It is read when it is asked for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

_SHAPE = re.compile(
    r"# (?P<id>\S+)\n\n"
    r"(?P<summary>\S.*)\.\n\n"
    r"(?P<why>(?:\S.*\n)*\S.*\.)\n\n"
    r"(?P<example>Wrong, (?:at `(?P<pointer>/.*)` of a spec|(?P<place>.+)):\n\n"
    r"```(?P<language>[a-z]+)\n(?P<wrong>(?:.*\n)*?.+)\n```\n\n"
    r"Right:\n\n"
    r"```(?P=language)\n(?P<right>(?:.*\n)*?.+)\n```)\n"
)


@dataclass(frozen=True, slots=True)
class RulePage:
    """A page in parts: plain text but for `markdown`, which is all below the summary.

    `summary` is a line without a stop, `why` full sentences. `wrong` and `right` stand at `place`: a JSON pointer into
    a spec, or words for anything else.
    """

    id: str
    summary: str
    why: str
    place: str
    wrong: str
    right: str
    markdown: str


@cache
def rule_ids() -> tuple[str, ...]:
    """The ids of all rules, in order. No page is read."""
    return tuple(sorted(page.name.removesuffix(".md") for page in (files("server_jobs_generator") / "rules").iterdir()))


@cache
def rule_page(rule: str) -> RulePage:
    """The page of a rule. Raises `ValueError` where it has another shape, or belongs to another rule."""
    return read_page(rule, (files("server_jobs_generator") / "rules" / f"{rule}.md").read_text(encoding="utf-8"))


def read_page(rule: str, text: str) -> RulePage:
    """The parts of a page. Raises `ValueError` as `rule_page` does."""
    page = _SHAPE.fullmatch(text)
    if page is None or page["id"] != rule:
        raise ValueError(f"rules/{rule}.md has not the shape of a page of {rule}")
    why = page["why"].replace("\n", " ")
    summary = _plain(page["summary"])
    return RulePage(
        id=rule,
        summary=summary[:1].lower() + summary[1:],
        why=_plain(why),
        place=page["pointer"] or _plain(page["place"]),
        wrong=page["wrong"],
        right=page["right"],
        markdown=f"{why}\n\n{page['example']}",
    )


def _plain(text: str) -> str:
    return text.replace("`", "")
