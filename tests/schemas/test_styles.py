"""Schemas as the world writes them are accepted as they are, and decided as JSON Schema decides.

`make test-schemas` does the same with hundreds of published schemas.
"""

from __future__ import annotations

import pytest
from server_jobs_generator.models import model_plan

from .__main__ import is_worse, problems_of
from .styles import STYLES
from .verdicts import PublicSchema, Verdict, try_schema

DOCUMENTS = 60
SCHEMA = PublicSchema("tools", "config.json", {})


def verdict_of(style: str) -> Verdict:
    return try_schema(PublicSchema("styles", style, {"schema.json": STYLES[style]}), DOCUMENTS)


@pytest.mark.parametrize("style", STYLES)
def test_a_schema_in_this_style_is_accepted_and_means_the_same(style: str) -> None:
    verdict = verdict_of(style)
    assert list(problems_of(verdict)) == []
    # Valid documents and others were compared.
    assert 5 < verdict.fitting < verdict.tried


def test_a_keyword_that_is_lost_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_plan, "rest_of", lambda schema: True)
    verdict = verdict_of("a manifest in draft 6")
    assert verdict.differences
    assert is_worse([verdict])


def test_a_refused_schema_is_reported_with_its_rules() -> None:
    refused = Verdict(SCHEMA, 1.0, refused=("TOO_LARGE", "PATTERN_REFUSED"))
    assert list(problems_of(refused)) == ["refused tools config.json: TOO_LARGE, PATTERN_REFUSED"]
    assert is_worse([refused, *[Verdict(SCHEMA, 1.0)] * 3])
    assert not is_worse([refused, *[Verdict(SCHEMA, 1.0)] * 4])
