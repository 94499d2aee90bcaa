"""Every problem names its rule, and every rule is in the book."""

from __future__ import annotations

import re

from server_jobs_generator import spec_rules
from server_jobs_generator.rule_book import all_rules
from server_jobs_generator.rules import Rule


def test_a_rule_is_in_the_book_under_its_id() -> None:
    stated = {name: rule for name, rule in vars(spec_rules).items() if isinstance(rule, Rule)}
    assert stated.items() <= all_rules().items()


def test_a_rule_has_an_id_in_capitals_and_a_summary_of_one_line() -> None:
    for rule in all_rules().values():
        assert re.fullmatch(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*", rule.id)
        assert rule.summary.isprintable()
        assert not rule.summary.endswith(".")
        assert len(rule.summary) <= 80
