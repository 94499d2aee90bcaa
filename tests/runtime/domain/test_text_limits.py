"""Limits of texts in rows."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from server_jobs.contract.values import encode
from server_jobs.domain.text_limits import clean_text


@settings(deadline=None)
@given(st.text(st.characters()), st.integers(1, 50))
def test_cleaned_text_can_be_stored_and_is_not_too_long(text: str, limit: int) -> None:
    cleaned = clean_text(text, limit)
    assert len(cleaned) <= limit
    assert encode(cleaned)[1] == ()
    assert cleaned == text or len(text) > limit or any(c == "\0" or "\ud800" <= c <= "\udfff" for c in text)


def test_text_that_is_cut_says_so() -> None:
    assert clean_text("a" * 10, 10) == "a" * 10
    assert clean_text("a" * 11, 10) == "a" * 9 + "…"
