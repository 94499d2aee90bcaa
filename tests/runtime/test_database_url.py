"""URLs of databases in messages: no value of an option that may be a secret is shown."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from server_jobs import create_job_registry
from server_jobs.databases.opening import open_database, sqlalchemy_url
from server_jobs.databases.postgres.url import parse_postgres_url
from server_jobs.databases.postgres.url_options import KNOWN
from server_jobs.databases.sqlite.database import SqliteDatabase
from server_jobs.databases.url import SHOWN_OPTIONS, parts_of, without_password
from server_jobs.engine.backend import WorkerBackendConfig
from server_jobs.errors import DatabaseError, InvalidOptionError
from server_jobs.isolation.messages import Setup
from server_jobs_cli.console.workspace import Workspace
from server_jobs_turso.url import endpoint_of

SECRET = "s3cr3t-of-ann"
SECRET_OPTIONS = ("password", "sslpassword", "passfile", "sslkey", "options", "authToken", "auth_token", "token", "jwt")
FORMS = ("{}", "{:upper}", "{:title}", "{:encoded}", "{:end}", "{:mark}")


def written(name: str, form: str) -> str:
    """Return the option in a URL, in this form."""
    match form:
        case "{:upper}":
            name = name.upper()
        case "{:title}":
            name = name.title()
        case "{:encoded}":
            name = "".join(f"%{ord(letter):02x}" for letter in name)
    option = f"{name}={SECRET}"
    return {"{:end}": f"sslmode=require&{option}", "{:mark}": f"application_name=a;{option}"}.get(form, option)


def complaints(url: str) -> Iterator[str]:
    """Yield the errors about a URL, with those behind them that a traceback shows."""
    uses: tuple[Callable[[str], object], ...] = (open_database, sqlalchemy_url, endpoint_of, parts_of)
    for use in uses:
        try:
            use(url)
        except (InvalidOptionError, DatabaseError) as error:
            yield "".join(traceback.format_exception(error))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", SECRET_OPTIONS)
@pytest.mark.parametrize("begin", ["postgresql://ann@host/shop", "libsql://shop.turso.io", "sqlite:///shop.sqlite3"])
def test_no_secret_option_is_shown(begin: str, name: str, form: str) -> None:
    url = f"{begin}?{written(name, form)}&connect_timeout=3"
    shown = without_password(url)
    assert SECRET not in shown
    assert shown.startswith(begin)
    assert SECRET not in "".join(complaints(url))


def test_an_option_is_hidden_unless_it_is_known_to_be_harmless() -> None:
    assert {"password", "sslpassword", "passfile", "sslkey", "options"} == KNOWN - SHOWN_OPTIONS
    assert (
        without_password("postgresql://h/d?anything=new&sslmode=require")
        == "postgresql://h/d?anything=***&sslmode=require"
    )


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://ann:SECRET@h/d", "postgresql://ann:***@h/d"),
        ("postgresql://ann:a/b?c@d:SECRET@h/d?sslmode=x", "postgresql://ann:***@h/d?sslmode=x"),
        ("postgresql://ann%3aSECRET@h/d", "postgresql://***@h/d"),
        ("postgresql+psycopg://ann@h:1,g:2/d", "postgresql+psycopg://ann@h:1,g:2/d"),
        ("libsql://SECRET@shop.turso.io", "libsql://***@shop.turso.io"),
        ("libsql://h#authToken=SECRET", "libsql://h#authToken=***"),
        ("libsql://h?SECRET", "libsql://h?***"),
        ("ann:SECRET@h/d", "ann:***@h/d"),  # typing mistakes
        ("postgresql:/ann:SECRET@h/d", "postgresql:***@h/d"),
        ("host=h password='SECRET x' user=ann", "host=h password=*** user=ann"),
        ("postgresql://h/d?password==SECRET", "postgresql://h/d?password=***"),
        ("jdbc:postgresql://ann:SECRET@h/d", "jdbc:postgresql://ann:***@h/d"),
        ("postgresql//ann:SECRET@h/d", "postgresql//ann:***@h/d"),
        ("//ann:SECRET@h/d", "//ann:***@h/d"),
        ("ann:x://SECRET@h/d", "ann:***@h/d"),
        ("postgresql://ann:SECRET", "postgresql://ann:***"),  # the host is missing
        ("postgresql://ann:a@h:1,g:SECRET/d", "postgresql://ann:***@h:1,g:***/d"),
        ("postgresql://h/d?sslmode=require?sslpassword=SECRET", "postgresql://h/d?sslmode=require?sslpassword=***"),
        ("postgresql://h/d?sslmode=require#sslpassword=SECRET", "postgresql://h/d?sslmode=require#sslpassword=***"),
        ("libsql://h?tls=0#authToken=a#SECRET", "libsql://h?tls=0#authToken=***"),
        ("host=h,password=SECRET", "host=***"),
        ("DSN: host=h password=SECRET", "DSN: host=h password=***"),
        ("host=h password=''SECRET user=ann", "host=h password=*** user=ann"),
        ("host=h password=a\\ SECRET user=ann", "host=h password=*** user=ann"),
        ("postgresql:// host=h password=SECRET", "postgresql:// host=h password=***"),
        ("sqlite:///C:/files/a@b#1.sqlite3", "sqlite:///C:/files/a@b#1.sqlite3"),
    ],
)
def test_the_rest_of_a_url_is_shown(url: str, shown: str) -> None:
    assert without_password(url.replace("SECRET", SECRET)) == shown


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://ann:{SECRET}/x@h/d",  # a part of the password looks like a port
        f"postgresql://ann:x?{SECRET}@h/d",  # and like an option
        f"postgresql://ann:x?{SECRET}=1@h/d",
        f"postgresql://ann:5?{SECRET}=1@h/d",
        f"postgresql://ann:x@y/{SECRET}@h/d",  # like the name of a database
        f"postgresql://ann:x@y?{SECRET}@h/d?sslmode=require",
        f"postgresql://h/d?sslmode=require?sslpassword={SECRET}",
        f"postgresql://h/d?connect_timeout=3#sslpassword={SECRET}",
        f"postgresql://h/d?ssl=true?password={SECRET}",
        f"libsql://h?tls=0?authToken={SECRET}",
        f"libsql://ann:{SECRET}/x@h",
        f"libsql://ann:x?{SECRET}@h",
        f"http://ann:{SECRET}\N{DOUBLE EXCLAMATION MARK}\N{CARE OF}@h/d",  # urllib shows what its letters stand for
        f"mysql://ann:{SECRET}@[h/d",
    ],
)
def test_an_error_about_a_url_shows_no_part_of_its_password(url: str) -> None:
    found = list(complaints(url))
    assert found
    assert SECRET not in "".join(found)


@pytest.mark.parametrize("rest", [f"x@y/{SECRET}@h/d", f"x@y?{SECRET}@h/d?sslmode=require", f"x@y?{SECRET}=1@h/d"])
def test_a_password_does_not_become_a_database_or_an_option(rest: str) -> None:
    """Messages name the database."""
    with pytest.raises(InvalidOptionError, match="write %40"):
        parse_postgres_url(f"postgresql://ann:{rest}")
    assert parse_postgres_url("postgresql://ann:x@y/a%40b").database == "a@b"


def test_the_parts_of_a_url_are_shown_without_secrets() -> None:
    parts = parse_postgres_url(f"postgresql://ann:{SECRET}@h/d?sslpassword={quote(SECRET)}&sslkey=/key")
    assert parts.password == SECRET
    assert SECRET not in f"{parts!r}{parts.place}"


def test_objects_that_keep_a_url_show_none() -> None:
    """Tools such as Sentry send the `repr` of local variables."""
    url = f"postgresql://ann:{SECRET}@h/d"
    config = WorkerBackendConfig(database=url, job_registry=create_job_registry())
    setup = Setup(database=url, database_schema=None, levels={}, jobs=[])
    assert SECRET not in f"{config!r}{setup!r}{Workspace(folder=Path(), database=url)!r}"


@pytest.mark.parametrize("driver", ["", "+aiosqlite", "+pysqlite"])
def test_a_url_of_sqlalchemy_names_the_same_file_for_every_driver(driver: str, tmp_path: Path) -> None:
    database = open_database(f"sqlite{driver}:///{tmp_path}/shop.sqlite3")

    assert isinstance(database, SqliteDatabase)
    assert database.path == f"{tmp_path}/shop.sqlite3"
    assert sqlalchemy_url(f"sqlite{driver}:///{tmp_path}/shop.sqlite3") == f"sqlite:///{tmp_path}/shop.sqlite3"
