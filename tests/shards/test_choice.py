"""The shard of a key: the rendezvous hash, and the URL that names the shards."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from server_jobs import InvalidOptionError
from server_jobs.databases.shard_url import ShardUrl, parse_shard_url
from server_jobs.stores.sharded import rendezvous

names = st.lists(st.from_regex(r"\A[a-z0-9]{1,8}\Z"), min_size=1, max_size=8, unique=True)


@given(st.text(), names)
def test_the_order_of_the_shards_does_not_matter(key: str, shards: list[str]) -> None:
    assert rendezvous(key, shards) == rendezvous(key, shards[::-1])


@given(st.text(), names)
def test_a_new_shard_takes_keys_and_moves_no_other_key(key: str, shards: list[str]) -> None:
    assert rendezvous(key, [*shards, "new-shard"]) in (rendezvous(key, shards), "new-shard")


@given(st.text(), names.filter(lambda shards: len(shards) > 1), st.data())
def test_a_removed_shard_moves_only_its_own_keys(key: str, shards: list[str], data: st.DataObject) -> None:
    removed = data.draw(st.sampled_from(shards))
    before = rendezvous(key, shards)
    after = rendezvous(key, [name for name in shards if name != removed])
    assert (after == before) is (before != removed)


def test_the_keys_spread_evenly_and_the_choice_never_changes() -> None:
    counts = Counter(rendezvous(f"tenant-{number}", ("asia", "eu", "sa", "us")) for number in range(10_000))
    assert min(counts.values()) > 2_300
    assert [rendezvous(key, ("asia", "eu", "sa", "us")) for key in ("acme", "initech", "ü", "")] == CHOSEN


CHOSEN = ["eu", "us", "us", "asia"]
"""Stored jobs depend on it."""


def test_a_url_names_the_shards_and_the_function_of_the_project() -> None:
    assert parse_shard_url("shards:eu=EU_URL,us-1=US_URL") == ShardUrl({"eu": "EU_URL", "us-1": "US_URL"})
    assert parse_shard_url("shards:eu=EU_URL?by=shop.shards:shard_of").chosen_by == "shop.shards:shard_of"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("shards:", "is no list of shards: write 'shards:eu=EU_DATABASE_URL,us=US_DATABASE_URL'"),
        ("shards:eu", "is no list of shards"),
        ("shards:EU=EU_URL", "is no list of shards"),
        ("shards:eu=postgresql://localhost", "is no list of shards"),
        ("shards:eu=A,eu=B", "names a shard twice"),
        ("shards:each=A", "'each' cannot name a shard: it stands for all of them"),
        ("shards:eu=A?by=shop", "may end only with"),
        ("shards:eu=A?pool=3", "may end only with"),
    ],
)
def test_other_urls_are_refused(url: str, message: str) -> None:
    with pytest.raises(InvalidOptionError) as refused:
        parse_shard_url(url)
    assert message in str(refused.value)


def test_a_missing_variable_and_an_unknown_shard_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EU_URL", raising=False)
    shards = parse_shard_url("shards:eu=EU_URL")
    with pytest.raises(InvalidOptionError, match=r"^EU_URL is not set; it must have the URL of the shard 'eu'$"):
        shards.url_of("eu")
    with pytest.raises(InvalidOptionError, match=r"^no shard is called 'us'; the shards are eu$"):
        shards.url_of("us")
    monkeypatch.setenv("EU_URL", "shards:a=B")
    with pytest.raises(InvalidOptionError, match=r"^EU_URL must have the URL of one database"):
        shards.url_of("eu")
