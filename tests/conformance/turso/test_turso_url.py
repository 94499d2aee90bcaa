"""The URLs of libSQL servers: their target, their token, and rejected forms."""

from __future__ import annotations

import pytest
from server_jobs import InvalidOptionError
from server_jobs.databases.opening import open_database
from server_jobs.databases.url import DEFAULT_URL, database_url
from server_jobs_turso.database import TursoDatabase
from server_jobs_turso.url import endpoint_of

HOST = "shop-ann.turso.io"


@pytest.fixture(autouse=True)
def _no_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SERVER_JOBS_DATABASE_URL", "TURSO_DATABASE_URL", "TURSO_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("url", "leads_to", "place"),
    [
        (f"libsql://{HOST}", f"https://{HOST}/v2/pipeline", f"libsql://{HOST}"),
        (f"libsql://{HOST}/", f"https://{HOST}/v2/pipeline", f"libsql://{HOST}"),
        (f"libsql://{HOST}?tls=1", f"https://{HOST}/v2/pipeline", f"libsql://{HOST}"),
        (f"libsql://{HOST}:8443/sub", f"https://{HOST}:8443/sub/v2/pipeline", f"libsql://{HOST}:8443/sub"),
        (f"https://{HOST}", f"https://{HOST}/v2/pipeline", f"https://{HOST}"),
        ("libsql://127.0.0.1:8080?tls=0", "http://127.0.0.1:8080/v2/pipeline", "libsql://127.0.0.1:8080"),
        ("libsql://localhost:8080?tls=0", "http://localhost:8080/v2/pipeline", "libsql://localhost:8080"),
        ("libsql://[::1]:8080?tls=0", "http://[::1]:8080/v2/pipeline", "libsql://[::1]:8080"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/v2/pipeline", "http://127.0.0.1:8080"),
        ("libsql://127.0.0.1:8080", "https://127.0.0.1:8080/v2/pipeline", "libsql://127.0.0.1:8080"),
    ],
)
def test_a_url_leads_to_the_pipeline_of_a_server(url: str, leads_to: str, place: str) -> None:
    endpoint = endpoint_of(url)

    assert (endpoint.url, endpoint.place, endpoint.token) == (leads_to, place, None)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        (f"http://{HOST}", "would send the token in the clear to another machine"),
        (f"libsql://{HOST}:80?tls=0", "would send the token in the clear to another machine"),
        ("http://127.0.0.1.example.com", "would send the token in the clear"),
        ("http://localhost.example.com", "would send the token in the clear"),
        ("http://0.0.0.0:8080", "would send the token in the clear"),
        ("http://10.0.0.1:8080", "would send the token in the clear"),
        ("libsql://localhost?tls=0", "has tls=0 and no port"),
        (f"libsql://{HOST}?tls=no", "has the option tls=no; it is 0 or 1"),
        (f"libsql://{HOST}?authtoken=secret", "unknown option 'authtoken'; did you mean 'authToken'"),
        (f"libsql://{HOST}?sync=1", "unknown option 'sync'; there are authToken, tls for libsql://"),
        (f"https://{HOST}?tls=0", "unknown option 'tls'"),
        (f"libsql://ann:secret@{HOST}", "names a user; leave it out, and give the token in the variable TURSO_AUTH_TO"),
        (f"libsql://{HOST}#secret-free", "has a fragment"),
        ("libsql:///jobs", "names no libSQL server"),
        (f"libsql://{HOST}:port", "cannot be read"),
        (f"libsql://{HOST}?authToken", "cannot be read"),
    ],
)
def test_a_url_that_cannot_be_used_says_why(url: str, problem: str) -> None:
    with pytest.raises(InvalidOptionError, match=problem) as caught:
        open_database(url)

    assert "secret@" not in str(caught.value)
    assert "=secret" not in str(caught.value)


def test_the_token_is_that_given_else_of_the_url_else_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURSO_AUTH_TOKEN", "of-the-environment")
    url = f"libsql://{HOST}?authToken=of-the-url"

    assert endpoint_of(url, "given").token == "given"
    assert endpoint_of(url).token == "of-the-url"
    assert endpoint_of(f"libsql://{HOST}").token == "of-the-environment"
    assert "of-the" not in repr(endpoint_of(url)) + endpoint_of(url).place + endpoint_of(url).url


def test_a_url_of_turso_is_opened_as_a_turso_database() -> None:
    database = open_database(f"libsql://{HOST}?authToken=secret")

    assert isinstance(database, TursoDatabase)
    assert (database.name, database.shown_url) == ("turso", f"libsql://{HOST}")


def test_the_variable_of_turso_names_the_database_where_ours_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    assert database_url() == DEFAULT_URL
    monkeypatch.setenv("TURSO_DATABASE_URL", f"libsql://{HOST}")
    assert database_url() == database_url(variable="SHOP_DATABASE") == f"libsql://{HOST}"
    monkeypatch.setenv("SERVER_JOBS_DATABASE_URL", "sqlite:///ours.sqlite3")
    assert database_url() == "sqlite:///ours.sqlite3"
    assert database_url("sqlite:///given.sqlite3") == "sqlite:///given.sqlite3"


def test_a_file_url_that_other_clients_of_turso_take_is_refused_with_an_example() -> None:
    with pytest.raises(InvalidOptionError, match=r"'file:local\.db' is not supported; give one such as 'sqlite:///"):
        open_database("file:local.db")
