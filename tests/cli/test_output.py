"""Printed values can never control the terminal."""

from __future__ import annotations

import io
import json
import time
import unicodedata
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text
from server_jobs.domain.clock import exact_length, length
from server_jobs_cli.console.options import duration
from server_jobs_cli.console.output import (
    age,
    last_cell,
    local,
    one_line,
    plain_table,
    print_table,
    printable,
    suggestion,
)

MOMENT = datetime(2026, 1, 31, 9, tzinfo=UTC)


@given(st.text())
def test_printable_text_has_no_control_characters_but_line_breaks(text: str) -> None:
    assert all(
        character == "\n" or unicodedata.category(character) not in ("Cc", "Cs") for character in printable(text)
    )


@given(st.text())
def test_one_line_is_one_line(text: str) -> None:
    assert len(one_line(text).splitlines()) <= 1


@given(st.text(st.characters(codec="utf-8")))
def test_the_escapes_mean_the_same_in_json(text: str) -> None:
    assert json.loads(printable(json.dumps(text, ensure_ascii=False))) == text


@pytest.mark.parametrize("text", ["\x1b[31m", "\x9b31m", "\u202eevil", "\u2066evil", "\ufeff", "\r", "\x07", "\x7f"])
def test_deceptive_characters_are_escaped(text: str) -> None:
    assert printable(text).startswith("\\")


def test_ordinary_text_stays_as_it_is() -> None:
    assert printable("Grüße, 東京 \N{WHITE SMILING FACE}\nnext line") == "Grüße, 東京 \N{WHITE SMILING FACE}\nnext line"


def test_a_long_line_is_cut_with_a_mark() -> None:
    assert one_line("abcdef", 4) == "abc…"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s ago"), (59.9, "59s ago"), (60, "1m ago"), (7_200, "2h ago"), (172_800, "2d ago"), (-90, "in 1m")],
)
def test_an_age_has_one_unit(seconds: float, text: str) -> None:
    assert age(MOMENT - timedelta(seconds=seconds), MOMENT) == text


@pytest.mark.parametrize(
    ("zone", "moment", "text"),
    [
        ("Asia/Tokyo", datetime.max.replace(tzinfo=UTC), "9999-12-31 23:59:59 +0000"),
        ("Asia/Tokyo", MOMENT, "2026-01-31 18:00:00 +0900"),
        ("America/New_York", datetime.min.replace(tzinfo=UTC), "1-01-01 00:00:00 +0000"),
    ],
)
def test_a_moment_that_no_clock_here_can_show_is_shown_in_utc(
    zone: str, moment: datetime, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setenv("TZ", zone)
        time.tzset()
        shown = local(moment)
    time.tzset()

    assert shown.lstrip("0") == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0214, "21ms"), (4.24, "4.2s"), (192, "3m 12s"), (7_500, "2h 5m"), (180_000, "50h 0m")]
)
def test_a_length_has_two_units_at_most(seconds: float, text: str) -> None:
    assert length(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (0.3, "300ms"), (5, "5s"), (5_400, "1h30m"), (604_800, "7d"), (61.5, "1m1s500ms")]
)
def test_an_exact_length_is_a_value_of_an_option(seconds: float, text: str) -> None:
    assert exact_length(timedelta(seconds=seconds)) == text
    if seconds:
        assert duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("name", ["sendemail", "send_emial", "SendEmial", "send-email"])
def test_a_suggestion_sees_through_case_and_separators(name: str) -> None:
    assert suggestion(name, ["ImportCsv", "SendEmail"]) == "did you mean 'SendEmail'?"


def test_without_a_similar_name_the_suggestion_lists_all() -> None:
    assert suggestion("xyz", ["ImportCsv", "SendEmail"]) == "there are ImportCsv, SendEmail"
    assert suggestion("xyz", ["ImportCsv"]) == "there is only ImportCsv"
    assert suggestion("xyz", []) == "none exist"


ROWS = [
    ("0199d2a4-77a0-7cc1-a1f3-52a9b6a1c0de", "worker-7d9f8b6c5-x2x9z", "12345", "alive", "3/10", "mail, default"),
    ("0199d2a4-77a0-7cc1-a1f3-52a9b6a1c0df", "worker-7d9f8b6c5-x2x9z", "tick", "dead", "", ", ".join(["long"] * 40)),
]


def printed(monkeypatch: pytest.MonkeyPatch, width: int) -> list[str]:
    """Return the lines of a table in a terminal of that width."""
    stream = io.StringIO()
    console = Console(file=stream, width=width, force_terminal=True, color_system=None)
    monkeypatch.setattr("server_jobs_cli.console.output.stdout_console", lambda: console)
    table = plain_table("id", "host", "pid", "state", "running", "queues")
    for *cells, last in ROWS:
        table.add_row(*map(Text, cells), last_cell(last))
    print_table(table)
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def test_a_table_is_a_block_for_each_row_on_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    assert printed(monkeypatch, 80) == [
        "0199d2a4-77a0-7cc1-a1f3-52a9b6a1c0de",
        "    host worker-7d9f8b6c5-x2x9z  pid 12345  state alive  running 3/10",
        "    queues mail, default",
        "0199d2a4-77a0-7cc1-a1f3-52a9b6a1c0df",
        "    host worker-7d9f8b6c5-x2x9z  pid tick  state dead",
        "    queues long, long, long, long, long, long, long, long, long, long, long, lo…",
    ]
    assert all(len(line) <= 60 for line in printed(monkeypatch, 60))


def test_a_wide_terminal_shows_one_line_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = printed(monkeypatch, 120)
    assert [line.split()[0] for line in lines] == ["id", ROWS[0][0], ROWS[1][0]]
    assert lines[2].endswith("…")
