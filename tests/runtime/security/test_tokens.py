"""Tokens are long and random, two may be valid at a time, and none is ever shown."""

from __future__ import annotations

import hmac

import pytest
from server_jobs.errors import InvalidOptionError
from server_jobs_http import Tokens, new_token

from tests.server_jobs_http.caller import OTHER_TOKEN, TOKEN


def test_a_new_token_is_admitted_and_unlike_every_other() -> None:
    made = {new_token() for _ in range(100)}

    assert len(made) == 100
    assert all(Tokens(token).admit(f"Bearer {token}") for token in made)


@pytest.mark.parametrize(
    ("token", "complaint"),
    [
        ("short-and-secret", "token 1 has 16 characters"),
        (TOKEN[:42], "42 characters"),
        ("x" * 64, "not random"),
        ("abc" * 20, "not random"),
        (f"{TOKEN} ", "spaces"),
        (f"{TOKEN}é", "no header may contain"),
        (f"{TOKEN}\n", "no header may contain"),
    ],
)
def test_a_token_that_cannot_be_32_random_bytes_is_refused_and_not_shown(token: str, complaint: str) -> None:
    with pytest.raises(InvalidOptionError, match=complaint) as caught:
        Tokens(token)

    assert token.strip() not in str(caught.value)


def test_no_more_than_two_tokens_are_valid_at_a_time() -> None:
    with pytest.raises(InvalidOptionError, match="at most 2"):
        Tokens(TOKEN, OTHER_TOKEN, new_token())


@pytest.mark.parametrize(
    ("environment", "admitted"),
    [
        ({}, []),
        ({"JOBS_TOKEN": ""}, []),
        ({"JOBS_TOKEN": TOKEN}, [TOKEN]),
        ({"JOBS_TOKEN": OTHER_TOKEN, "JOBS_TOKEN_PREVIOUS": TOKEN}, [OTHER_TOKEN, TOKEN]),
        ({"JOBS_TOKEN_PREVIOUS": TOKEN}, [TOKEN]),
    ],
)
def test_tokens_come_from_the_environment(environment: dict[str, str], admitted: list[str]) -> None:
    tokens = Tokens.from_environment(environment)

    assert bool(tokens) == bool(admitted)
    assert [token for token in (OTHER_TOKEN, TOKEN) if tokens.admit(f"Bearer {token}")] == admitted


def test_only_a_hash_of_a_token_is_stored() -> None:
    assert TOKEN not in repr(vars(Tokens(TOKEN)))


def test_every_comparison_takes_the_same_time_by_comparing_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []
    compare = hmac.compare_digest

    def noted(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return compare(one, other)

    monkeypatch.setattr(hmac, "compare_digest", noted)
    tokens = Tokens(TOKEN, OTHER_TOKEN)

    assert tokens.admit(f"Bearer {TOKEN}")
    assert not tokens.admit("Bearer x")
    assert not tokens.admit(None)

    assert len(compared) == 6
    assert {len(text) for pair in compared for text in pair} == {32}
