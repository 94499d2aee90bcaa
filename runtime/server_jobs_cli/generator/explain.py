"""The command `explain`: what a rule means, why it is one, and how to get along with it."""

from __future__ import annotations

import click

from server_jobs_cli.console.output import print_json, say
from server_jobs_cli.console.suggestion import suggestion

from .explain_text import document, plain, table
from .output_format import Form, formatted
from .rule_book import rule_ids, rule_page


@click.command()
@click.argument("rule", required=False)
@formatted(Form.TEXT, Form.JSON)
def explain(rule: str | None, *, form: Form) -> None:
    """Explain RULE, the word in brackets behind a problem; without one, list all rules.

    Exit status: 0 explained, 2 there is no such rule.
    """
    if rule is None:
        pages = [rule_page(name) for name in rule_ids()]
        if form is Form.JSON:
            print_json([document(page) for page in pages])
        else:
            say("\n".join(table(pages)))
        return
    name = _spelt(rule)
    if name not in rule_ids():
        raise click.UsageError(f"there is no rule {rule!r}; {_known(rule)}")
    if form is Form.JSON:
        print_json(document(rule_page(name)))
    else:
        say(plain(rule_page(name)))


def _spelt(rule: str) -> str:
    """The id of a rule, whatever its capitals, dashes and brackets."""
    word = rule.strip("[]")
    dashed = word.lower().replace("_", "-")
    return dashed if dashed in rule_ids() else word.upper().replace("-", "_")


def _known(rule: str) -> str:
    guess = suggestion(rule, rule_ids())
    return guess if guess.startswith("did you mean") else "server-jobs explain lists all of them"
