"""The database that a Worker selects from its `env`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
from server_jobs import DatabaseError
from server_jobs_cloudflare import database_of
from server_jobs_cloudflare.databases.d1 import D1Database
from server_jobs_turso.database import TursoDatabase

from tests.conformance.d1_binding import FakeD1
from tests.conformance.hrana_server import HranaServer
from tests.conformance.stores import TURSO_TOKEN, create_sqlite_file

URL = "libsql://jobs-ada.turso.io"


class JsNull:
    """Pyodide's value for `null`: not None, and without attributes."""


@dataclass
class Wrapped:
    """A binding as the Workers SDK wraps it."""

    _binding: FakeD1

    def __getattr__(self, name: str) -> object:
        return getattr(self._binding, name)


@pytest.fixture
def binding(tmp_path: Path) -> Iterator[FakeD1]:
    create_sqlite_file(tmp_path / "d1.sqlite3")
    binding = FakeD1(tmp_path / "d1.sqlite3")
    yield binding
    binding.close()


def test_a_worker_with_the_url_of_a_turso_database_uses_it(binding: FakeD1) -> None:
    database = database_of(SimpleNamespace(TURSO_DATABASE_URL=f" {URL}\n", TURSO_AUTH_TOKEN="abc", DB=binding))

    assert isinstance(database, TursoDatabase)
    assert database.shown_url == URL


@pytest.mark.parametrize("nothing", [None, JsNull(), "", " \n"], ids=["undefined", "null", "empty", "blank"])
def test_without_a_url_it_uses_the_binding(binding: FakeD1, nothing: object) -> None:
    env = SimpleNamespace(TURSO_DATABASE_URL=nothing, TURSO_AUTH_TOKEN=nothing, DB=binding)

    assert isinstance(database_of(env), D1Database)
    assert isinstance(database_of(SimpleNamespace(DB=binding)), D1Database)


def test_the_binding_may_be_wrapped(binding: FakeD1) -> None:
    assert isinstance(database_of(SimpleNamespace(DB=Wrapped(binding))), D1Database)


def test_the_names_may_be_others(binding: FakeD1) -> None:
    turso = database_of(SimpleNamespace(LIBSQL=URL, KEY="abc"), turso_url="LIBSQL", turso_token="KEY")
    d1 = database_of(SimpleNamespace(JOBS=binding, TURSO_DATABASE_URL=URL), d1="JOBS", turso_url="LIBSQL")

    assert isinstance(turso, TursoDatabase)
    assert isinstance(d1, D1Database)


@pytest.mark.parametrize("nothing", [None, JsNull(), "a text"], ids=["undefined", "null", "variable"])
def test_without_a_database_the_missing_setting_is_named(nothing: object) -> None:
    with pytest.raises(DatabaseError) as caught:
        database_of(SimpleNamespace(DB=nothing))

    assert str(caught.value) == (
        "the Worker has no database: bind D1 as DB under d1_databases in wrangler.jsonc, or give the URL of a Turso "
        "database as TURSO_DATABASE_URL and its token as the secret TURSO_AUTH_TOKEN (npx wrangler secret put NAME; "
        "on your machine both in .dev.vars)"
    )


@pytest.mark.parametrize(
    ("url", "token"), [("sqlite:///jobs", "abc"), ("libsql://me:secret-1@host", "abc"), (URL, "secret-1 secret-1")]
)
def test_unusable_databases_raise_errors_without_secrets(url: str, token: str) -> None:
    with pytest.raises(DatabaseError) as caught:
        database_of(SimpleNamespace(TURSO_DATABASE_URL=url, TURSO_AUTH_TOKEN=token))

    assert "secret-1" not in str(caught.value)


async def test_a_server_is_checked_once_and_not_by_each_invocation(tmp_path: Path) -> None:
    create_sqlite_file(tmp_path / "turso.sqlite3")
    with HranaServer(tmp_path / "turso.sqlite3", TURSO_TOKEN) as server:
        env = SimpleNamespace(TURSO_DATABASE_URL=server.url, TURSO_AUTH_TOKEN=TURSO_TOKEN)
        for _ in range(3):
            await database_of(env).open()

        assert server.posts == 1
        await database_of(env).close()
