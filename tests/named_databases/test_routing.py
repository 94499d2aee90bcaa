"""The choice of one of several databases for a job."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from enum import Enum
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from server_jobs.domain.record import NewJob
from server_jobs.errors import DatabaseError, InvalidOptionError, ProjectError
from server_jobs.registry import create_job_registry
from server_jobs.routing import DatabaseOf, Routing, rendezvous

EU_US = {"eu": "EU_DATABASE_URL", "us": "US_DATABASE_URL"}

names = st.from_regex(r"[a-z0-9]([a-z0-9_-]{0,8}[a-z0-9])?", fullmatch=True)
keys = st.text(st.characters())  # lone surrogates and NUL too


def job(shard_key: str | None, name: str = "Greet") -> NewJob:
    return NewJob("1", "{}", None, None, None, shard_key, name, "default", 0, 1, 1, None)


@given(keys, st.lists(names, min_size=1, max_size=6, unique=True), st.randoms())
def test_a_key_has_the_same_database_in_any_order_of_the_names(key: str, known: list[str], random: object) -> None:
    shuffled = sorted(known, key=lambda _: cast("Callable[[], float]", getattr(random, "random"))())  # noqa: B009
    assert rendezvous(key, known) == rendezvous(key, shuffled)


@given(st.lists(keys, max_size=50), st.lists(names, min_size=2, max_size=6, unique=True))
def test_another_database_moves_keys_to_itself_only(some: list[str], known: list[str]) -> None:
    *before, new = known
    moved = [key for key in some if rendezvous(key, before) != rendezvous(key, known)]
    assert all(rendezvous(key, known) == new for key in moved)


def test_the_keys_are_spread_evenly() -> None:
    counts: Counter[str] = Counter({"eu": 0, "us": 0, "asia": 0})
    for number in range(3000):
        counts[rendezvous(f"tenant-{number}", counts)] += 1
    assert all(900 < count < 1100 for count in counts.values()), counts


def test_the_choice_is_the_same_in_all_releases_and_processes() -> None:
    assert [rendezvous(key, EU_US) for key in ("acme", "initech", "umbrella", "hooli")] == ["eu", "us", "eu", "us"]
    program = "from server_jobs.routing import rendezvous; print(rendezvous('acme', ['us', 'eu']))"
    there = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert there.stdout.strip() == "eu"


@pytest.mark.parametrize("key", ["x" * 1_000_000, "a\0b", "\ud800", "", "eu\nacme", "\U0001f40d"])
def test_any_text_is_a_key(key: str) -> None:
    assert Routing(EU_US).name_of(key) in EU_US


def test_jobs_without_a_key_belong_to_the_first_database() -> None:
    assert Routing(EU_US).name_of(None) == "eu"
    assert Routing(EU_US, lambda _: "us").name_of(None) == "eu"
    assert Routing(EU_US).name_of_jobs([]) == "eu"


def test_a_function_of_the_project_chooses() -> None:
    routing = Routing(EU_US, {"acme": "eu", "initech": "us"}.__getitem__)
    assert [routing.name_of(key) for key in ("acme", "initech")] == ["eu", "us"]


class Region(str, Enum):  # noqa: UP042  as projects have them
    """Names as a project may have them. `str` and f-strings write such a member as `Region.EU`."""

    EU = "eu"


def test_a_member_of_an_enum_is_the_name_that_it_stands_for() -> None:
    name = Routing(EU_US, lambda _: Region.EU).name_of("acme")
    assert (f"{name}", type(name)) == ("eu", str)


async def async_choice(_key: str) -> str:
    return "eu"


def fail(key: str) -> str:
    raise KeyError(key)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("asia", "for 'acme' it returns 'asia'"),
        (None, "for 'acme' it returns None"),
        (1, "for 'acme' it returns 1"),
        (["eu"], "for 'acme' it returns ['eu']"),
        ("x" * 10_000, "xxx..."),
    ],
)
def test_an_answer_that_is_no_name_is_refused(answer: object, message: str) -> None:
    routing = Routing(EU_US, cast("DatabaseOf", lambda _: answer))
    with pytest.raises(ProjectError) as refusal:
        routing.name_of("acme")
    assert message in str(refusal.value)
    assert "one of eu, us" in str(refusal.value)


def test_the_error_of_the_function_is_reported_with_a_short_key() -> None:
    with pytest.raises(ProjectError, match="database_of fails for 'xxxx") as refusal:
        Routing(EU_US, fail).name_of("x" * 1_000_000)
    assert isinstance(refusal.value.__cause__, KeyError)
    assert len(str(refusal.value)) < 500


def test_an_async_function_is_refused_and_leaves_no_coroutine() -> None:
    with pytest.raises(InvalidOptionError, match="plain function"):
        Routing(EU_US, cast("DatabaseOf", async_choice))
    routing = Routing(EU_US, cast("DatabaseOf", lambda key: async_choice(key)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ProjectError, match="it returns <coroutine"):
            routing.name_of("acme")


@given(st.lists(st.none() | st.sampled_from(["acme", "initech", "hooli", "umbrella"]), max_size=8))
def test_jobs_of_two_databases_are_refused_with_both_names(some: list[str | None]) -> None:
    routing = Routing(EU_US)
    jobs = [job(key) for key in some]
    wanted = {routing.name_of(key) for key in some}
    if len(wanted) < 2:
        assert routing.name_of_jobs(jobs) == next(iter(wanted), "eu")
        return
    with pytest.raises(InvalidOptionError, match="must belong to one database") as refusal:
        routing.name_of_jobs(jobs)
    assert " to eu" in str(refusal.value)
    assert " to us" in str(refusal.value)


def test_the_function_is_called_once_for_each_key_of_a_call() -> None:
    asked: list[str] = []

    def choose(key: str) -> str:
        asked.append(key)
        return "eu"

    routing = Routing(EU_US, choose)
    routing.name_of_jobs([job(key) for key in ["acme", "initech"] * 1000])
    assert asked == ["acme", "initech"]


def test_a_url_comes_from_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EU_DATABASE_URL", "sqlite:///eu.sqlite3")
    monkeypatch.delenv("US_DATABASE_URL", raising=False)
    assert Routing(EU_US).url_of("eu") == "sqlite:///eu.sqlite3"
    with pytest.raises(DatabaseError, match="US_DATABASE_URL is not set; set it to the URL of the database 'us'"):
        Routing(EU_US).url_of("us")
    with pytest.raises(InvalidOptionError, match="no database is called 'asia'; the databases are eu, us"):
        Routing(EU_US).url_of("asia")


@pytest.mark.parametrize(
    ("databases", "message"),
    [
        ({}, "at least one database"),
        ({"EU": "A"}, "not 'EU'"),
        ({"-eu": "A"}, "not '-eu'"),
        ({"": "A"}, "not ''"),
        ({"x" * 64: "A"}, "1 to 63 characters"),
        ({"eu\n": "A"}, r"not 'eu\n'"),
        ({"eu": "A=B"}, "such as EU_DATABASE_URL, not 'A=B'"),
        ({"eu": ""}, "not ''"),
        ({"eu": "\N{LATIN CAPITAL LETTER U WITH DIAERESIS}RL"}, r"not '\xdcRL'"),
        ({"../eu": "A"}, "not '../eu'"),
        ({"eu'; DROP TABLE jobs": "A"}, "DROP TABLE"),
        ({"eu": "A", "us": "A"}, "two databases have the same variable: A"),
    ],
)
def test_names_and_variables_that_cannot_work_are_refused(databases: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidOptionError) as refusal:
        create_job_registry(databases=databases)
    assert message in str(refusal.value)


def test_options_of_a_registry_that_exclude_each_other_are_refused() -> None:
    with pytest.raises(InvalidOptionError, match="database_of chooses one of several databases"):
        create_job_registry(database_of=lambda _: "eu")
    with pytest.raises(InvalidOptionError, match="database_url_env names the only database"):
        create_job_registry(databases=EU_US, database_url_env="SHOP_DATABASE_URL")
