"""`server-jobs explain`: the meaning of a rule, its reason, and the fix."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from textwrap import fill, indent
from typing import TYPE_CHECKING

import click

from ..console.output import print_json, say, suggestion
from .output_forms import Form, formatted

if TYPE_CHECKING:
    from server_jobs_generator.problems.rules import Rule
    from server_jobs_generator.spec_checks import RuleText

_WIDTH = 88
_SHAPE = re.compile(
    r"# (?P<id>\S+)\n\n"
    r"(?P<summary>\S.*)\.\n\n"
    r"(?P<why>(?:\S.*\n)*\S.*\.)\n\n"
    r"(?P<example>Wrong, (?:at `(?P<pointer>/.*)` of a spec|(?P<place>.+)):\n\n"
    r"```(?P<language>[a-z]+)\n(?P<wrong>(?:.*\n)*?.+)\n```\n\n"
    r"Right:\n\n"
    r"```(?P=language)\n(?P<right>(?:.*\n)*?.+)\n```)\n"
)
_OPTIONAL = re.compile(r'\w\?": ')


@click.command()
@click.argument("rule", required=False)
@formatted(Form.TEXT, Form.JSON)
def explain(rule: str | None, *, form: Form) -> None:
    """Explain RULE, the word in brackets after a problem. Without RULE, list all rules.

    Exit status: 0 explained, 2 there is no such rule.
    """
    if rule is None:
        pages = [rule_page(name) for name in (*rule_ids(), *plug_in_pages())]
        if form is Form.JSON:
            print_json([_document(page) for page in pages])
        else:
            width = max(len(page.id) for page in pages)
            say("\n".join(f"{page.id:<{width}}  {page.summary}" for page in pages))
        return
    name = _rule_id(rule)
    if name not in rule_ids() and name not in plug_in_pages():
        guess = suggestion(rule, (*rule_ids(), *plug_in_pages()))
        known = guess if guess.startswith("did you mean") else "server-jobs explain lists all of them"
        raise click.UsageError(f"there is no rule {rule!r}; {known}")
    if form is Form.JSON:
        print_json(_document(rule_page(name)))
    else:
        say(plain(rule_page(name)))


def _rule_id(rule: str) -> str:
    """Return the id of a rule for any spelling of capitals, dashes and brackets."""
    word = rule.strip("[]")
    dashed = word.lower().replace("_", "-")
    return dashed if dashed in rule_ids() else word.upper().replace("-", "_")


def plain(page: RulePage) -> str:
    """Return the page for a terminal."""
    place = f"at {page.place} of a spec" if page.place.startswith("/") else page.place
    has_optional = _OPTIONAL.search(page.wrong + page.right)
    return "\n\n".join(
        (
            f"{page.id}: {page.summary}",
            fill(page.why, _WIDTH),
            f"Wrong, {place}:",
            indent(page.wrong, "    "),
            "Right:",
            indent(page.right, "    "),
            *(["A property with a question mark is optional."] if has_optional else []),
        )
    )


def _document(page: RulePage) -> dict[str, str]:
    return {name: value for name, value in asdict(page).items() if name != "markdown"}


@dataclass(frozen=True, slots=True)
class RulePage:
    """A parsed page, in plain text except for `markdown`, the text below the summary.

    `summary` is a line without a full stop; `why` has full sentences. `wrong` and `right` are examples for `place`, a
    JSON pointer into a spec or a description.
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
    """Return the ids of the generator's rules, in order, without reading their pages."""
    return tuple(sorted(page.name.removesuffix(".md") for page in (files("server_jobs_generator") / "rules").iterdir()))


@cache
def plug_in_pages() -> Mapping[str, RulePage]:
    """Return the pages of the rules of plug-ins, by their ids, in order. Raises as `Seam.find` does.

    There are none without the extra of the generator, which runs them.
    """
    try:
        from server_jobs_generator.spec_checks import CHECKS  # imports the reader of specs
    except ModuleNotFoundError:
        return {}

    pages = {rule.id: _page_of(rule, text) for check in CHECKS.all() for rule, text in check.rules.items()}
    return dict(sorted(pages.items()))


def _page_of(rule: Rule, text: RuleText) -> RulePage:
    example = (
        f"Wrong, at `{text.place}` of a spec:\n\n```json\n{text.wrong}\n```\n\nRight:\n\n```json\n{text.right}\n```"
    )
    markdown = f"{text.why}\n\n{example}"
    return RulePage(rule.id, text.summary, _plain(text.why), text.place, text.wrong, text.right, markdown)


@cache
def rule_page(rule: str) -> RulePage:
    """Return the page of a rule. Raises `ValueError` if its structure is wrong or it belongs to another rule.

    Raises `KeyError` if there is no such rule.
    """
    if rule not in rule_ids():
        return plug_in_pages()[rule]
    return read_page(rule, (files("server_jobs_generator") / "rules" / f"{rule}.md").read_text(encoding="utf-8"))


def read_page(rule: str, text: str) -> RulePage:
    """Parse a page. Raises `ValueError` as `rule_page` does."""
    page = _SHAPE.fullmatch(text)
    if page is None or page["id"] != rule:
        raise ValueError(f"the page of the rule {rule} does not have the form of the generator's pages")
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
