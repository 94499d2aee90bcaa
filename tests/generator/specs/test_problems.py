"""A suggestion is found for any spelling, among any number of names."""

from __future__ import annotations

import pytest
from server_jobs_generator.options.table import OPTIONS
from server_jobs_generator.problems.problem import nearest


@pytest.mark.parametrize("written", ["MaxAttempts", "max_attempts", "maxattempts", "max-attempts", "MAXATTEMPTS"])
def test_the_nearest_word_is_found_in_any_case_and_style(written: str) -> None:
    assert nearest(written, OPTIONS) == ' (did you mean "maxAttempts"?)'


@pytest.mark.parametrize("written", ["field_3999", "feild_03999", "field_039990", "Field_03999"])
def test_the_nearest_word_is_found_among_thousands(written: str) -> None:
    assert nearest(written, [f"field_{number:05}" for number in range(4_000)]) == ' (did you mean "field_03999"?)'


@pytest.mark.parametrize("known", [[], ["priority"], [""], ["priority", "x" * 10_000]])
def test_there_is_no_nearest_word_where_none_is_near(known: list[str]) -> None:
    assert nearest("timeout", known) == ""
