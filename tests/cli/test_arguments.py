"""Durations, times, lists of names and JSON as arguments of commands."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st
from server_jobs_cli.console.options import duration, json_object, moment, names


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250ms", 0.25),
        ("30s", 30),
        ("5m", 300),
        ("1.5h", 5_400),
        ("2d", 172_800),
        ("1m30s", 90),
        ("1h30m", 5_400),
        ("0s", 0),
    ],
)
def test_a_duration_is_numbers_with_units(text: str, seconds: float) -> None:
    assert duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "s", "-5s", "5 s", "5x", "1h30", "PT5S", "5s,", "٣s", "1e3s", "nans"])
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(click.BadParameter, match="write a number and a unit, such as 30s"):
        duration(text)


def test_a_duration_has_an_end() -> None:
    with pytest.raises(click.BadParameter, match="too long"):
        duration("9" * 30 + "d")


def test_a_moment_has_a_zone() -> None:
    assert moment("2026-01-31T09:00:00+01:00") == datetime(2026, 1, 31, 8, tzinfo=UTC)
    assert moment("2026-01-31T09:00Z") == datetime(2026, 1, 31, 9, tzinfo=UTC)
    with pytest.raises(click.BadParameter, match="no time zone; add Z"):
        moment("2026-01-31T09:00:00")
    with pytest.raises(click.BadParameter, match="not an ISO 8601 time"):
        moment("tomorrow")


def test_names_stand_between_commas() -> None:
    assert names("mail, default") == ("mail", "default")
    with pytest.raises(click.BadParameter, match="empty name"):
        names("mail,,default")


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), st.none() | st.booleans() | st.integers() | st.text()))
def test_a_json_object_is_read_as_it_is_written(value: dict[str, object]) -> None:
    assert json_object(json.dumps(value)) == value


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "not valid JSON: Expecting property name"),
        ("{a:", """got {a:; write an object with double quotes inside single ones: '{"name": "value"}'"""),
        ("{'a': 1, 'b': 'x y'}", """JSON has double quotes: write '{"a": 1, "b": "x y"}'"""),
        ("{'it': \"it's\"}", """write '{"it": "it'"'"'s"}'"""),
        ('{"a": 1, "a": 2}', 'the key "a" occurs twice'),
        ('{"a": NaN}', "NaN is not JSON"),
        ("[" * 100_000, "not valid JSON"),
        ('{"a": ' + "1" * 5_000 + "}", "not valid JSON"),
        ("[]", "must be a JSON object such as .*, not an array"),
        ("null", "not null"),
        ("true", "not a boolean"),
        ("1.5", "not a number"),
        ('"{}"', "not a string"),
    ],
)
def test_anything_but_a_json_object_is_refused(text: str, problem: str) -> None:
    with pytest.raises(click.BadParameter) as raised:
        json_object(text)
    assert re.search(problem, raised.value.message) or problem in raised.value.message
    assert len(raised.value.message) < 500


def test_a_json_object_may_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "params.json"
    file.write_text('{"text": "Grüße"}', encoding="utf-8")
    assert json_object(f"@{file}") == {"text": "Grüße"}
    file.write_bytes(b'{"text": "\xff"}')
    with pytest.raises(click.BadParameter, match="cannot be read"):
        json_object(f"@{file}")
    with pytest.raises(click.BadParameter, match="cannot be read"):
        json_object("@no/such/file")
