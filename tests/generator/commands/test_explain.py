"""`server-jobs explain`."""

from __future__ import annotations

import json

import pytest
from server_jobs_cli.generator.explain import rule_ids, rule_page

from tests.generator.projects import run_command


def test_a_rule_is_explained_with_its_reason_and_an_example() -> None:
    text = run_command("explain", "DEFAULT_DOES_NOT_FIT").output
    assert text.startswith("DEFAULT_DOES_NOT_FIT: a default does not fit its own schema\n\nThe handler would get")
    assert 'Wrong, at /properties/params/properties/x of a spec:\n\n    {"type": "integer", "default": "3"}\n' in text
    assert text.endswith('Right:\n\n    {"type": "integer", "default": 3}\n')


def test_the_question_mark_of_an_optional_property_is_explained_where_it_is_used() -> None:
    assert run_command("explain", "TYPE_CHANGED").output.endswith("\n\nA property with a question mark is optional.\n")
    assert "question mark" not in run_command("explain", "TYPE_MISSING").output


@pytest.mark.parametrize("name", rule_ids())
def test_every_explanation_fits_a_terminal(name: str) -> None:
    result = run_command("explain", name)
    assert result.exit_code == 0
    assert max(map(len, result.output.splitlines())) <= 120


@pytest.mark.parametrize("spelt", ["type_missing", "[TYPE_MISSING]", "type-missing", "Type_Missing"])
def test_the_spelling_does_not_count(spelt: str) -> None:
    assert run_command("explain", spelt).output.startswith("TYPE_MISSING: ")
    assert run_command("explain", "MISSING_MODULE").output.startswith("missing-module: ")


def test_without_a_rule_all_are_listed() -> None:
    lines = run_command("explain").output.splitlines()
    assert [line.split()[0] for line in lines] == list(rule_ids())
    summaries = [rule_page(name).summary for name in rule_ids()]
    column = lines[0].index(summaries[0])
    assert [line[column:] for line in lines] == summaries


def test_a_program_reads_json() -> None:
    one = json.loads(run_command("explain", "COMMENT", "--json").output)
    assert one.keys() == {"id", "summary", "why", "place", "wrong", "right"}
    every = json.loads(run_command("explain", "--format", "json").output)
    assert one in every
    assert len(every) == len(rule_ids())


def test_an_unknown_rule_gets_the_nearest_one() -> None:
    result = run_command("explain", "TYPE_MISING")
    assert result.exit_code == 2
    assert "there is no rule 'TYPE_MISING'; did you mean 'TYPE_MISSING'?" in result.output
    assert "server-jobs explain lists all of them" in run_command("explain", "wibble").output
