"""How the problems of a file are reported."""

from __future__ import annotations

import json
from pathlib import Path

from tests.generator.spec_projects import a_spec, an_object, findings, problems


def test_everything_wrong_in_a_file_is_reported_at_once(tmp_path: Path) -> None:
    spec = a_spec(
        an_object(a={"type": "strng"}, b={"type": "integer", "default": "x"}, c={"$ref": "#/nowhere"}, d={"not": {}}),
        title="no title",
        **{"x-job": {"priority": 1000, "schedules": [{"name": "n", "cron": "@daily"}]}},
    )
    text = json.dumps(spec, indent=1)[:-1] + ', "title": "X",}'
    assert len(findings(tmp_path, {"case.json": text.encode()})) == 8


def test_a_problem_is_one_line_for_any_text_of_a_spec(tmp_path: Path) -> None:
    hostile = "a\nb\r\u2028\u202e\x1b[31m"
    for line in problems(tmp_path, {"case.json": a_spec(an_object(**{hostile: {hostile: 1, "type": hostile}}))}):
        assert line.isprintable()


def test_a_file_with_endless_problems_is_cut_short(tmp_path: Path) -> None:
    wrong = {f"p{number}": {"type": "strng"} for number in range(1000)}
    lines = problems(tmp_path, {"case.json": a_spec(an_object(**wrong))})
    assert len(lines) == 201
    assert "(whole file) has 200 problems or more; the rest is not shown" in lines[0]


def test_many_warnings_of_one_rule_become_one(tmp_path: Path) -> None:
    unknown = {f"kw{number}": 1 for number in range(1000)}
    some, others = {"type": "string"} | dict([*unknown.items()][:10]), {"type": "string"} | unknown
    assert len(findings(tmp_path, {"case.json": a_spec(an_object(x=some))})) == 10
    (line,) = findings(tmp_path, {"case.json": a_spec(an_object(x=others))})
    assert line.endswith('/x/kw0 "kw0" is not a keyword of JSON Schema, and has no effect (and 999 more in this file)')
