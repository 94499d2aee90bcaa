"""The settings of a database as a URL for workers and commands."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from urllib.parse import unquote

import pytest
from server_jobs.databases.opening import sqlalchemy_url
from server_jobs.databases.postgres.url import parse_postgres_url
from sqlalchemy import make_url

from tests.prepared import prepared_python
from tests.slow import slow

SCRIPT = """
import json, sys
import django
from django.conf import settings
settings.configure(DATABASES=json.loads(sys.argv[1]), INSTALLED_APPS=["server_jobs_django"])
django.setup()
from server_jobs import InvalidOptionError
from server_jobs_django import database_url
try:
    print(database_url())
except InvalidOptionError as error:
    print("refused:", error)
"""


def url_of(settings: dict[str, object], folder: Path) -> str:
    """Return the URL for these settings, or `refused: ` with the reason."""
    databases = json.dumps({"default": settings})
    command = (prepared_python(), "-c", SCRIPT, databases)
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


def postgres(**settings: object) -> dict[str, object]:
    """Return settings of PostgreSQL."""
    return {"ENGINE": "django.db.backends.postgresql", "NAME": "shop", **settings}


def test_every_part_of_the_settings_arrives(tmp_path: Path) -> None:
    settings = postgres(
        USER="o'hara",
        PASSWORD="p@ss:w/rd%",
        HOST="db.example.com",
        PORT=6432,
        OPTIONS={
            "sslmode": "verify-full",
            "sslrootcert": "/etc/ca file.pem",
            "connect_timeout": 7,
            "isolation_level": 3,
            "server_side_binding": True,
            "assume_role": "jobs",
            "options": "-c search_path=shop",
        },
    )

    url = parse_postgres_url(url_of(settings, tmp_path))
    assert (url.user, url.password, url.database) == ("o'hara", "p@ss:w/rd%", "shop")
    assert [(host.name, host.port) for host in url.hosts] == [("db.example.com", 6432)]
    assert url.connect_seconds == 7
    assert url.options.of_asyncpg == {
        "sslmode": "verify-full",
        "sslrootcert": "/etc/ca file.pem",
        "options": "-c search_path=shop -c role=jobs",
    }


@pytest.mark.slow
def test_a_service_and_a_socket_are_places(tmp_path: Path) -> None:
    service = parse_postgres_url(url_of(postgres(NAME="", OPTIONS={"service": "shop"}), tmp_path))
    assert service.options.of_asyncpg["service"] == "shop"
    assert service.hosts == ()

    socket = parse_postgres_url(url_of(postgres(HOST="/var/run/postgresql"), tmp_path))
    assert [host.is_socket for host in socket.hosts] == [True]


@pytest.mark.parametrize("name", [slow("shop.sqlite3"), "a folder/100% ours?.sqlite3", slow("größe#1.sqlite3")])
def test_a_file_is_found_by_both_drivers(name: str, tmp_path: Path) -> None:
    url = url_of({"ENGINE": "django.db.backends.sqlite3", "NAME": name}, tmp_path)

    assert unquote(url) == f"sqlite:///{tmp_path / name}"
    assert make_url(sqlalchemy_url(url)).database in (str(tmp_path / name), url.removeprefix("sqlite:///"))


@pytest.mark.parametrize(
    "name", [":memory:", slow("file:memorydb_default?mode=memory&cache=shared"), slow("file:jobs.sqlite3")]
)
def test_a_database_that_no_other_process_can_use_is_refused(name: str, tmp_path: Path) -> None:
    assert url_of({"ENGINE": "django.db.backends.sqlite3", "NAME": name}, tmp_path).startswith("refused: ")
