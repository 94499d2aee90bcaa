"""A PostgreSQL server for tests: the configured one, a local one, or a temporary one."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

import psycopg
import pytest

from bench.servers.postgres_server import NoServerError, free_port, programs_for, run_as, user_for

VARIABLE = "SERVER_JOBS_TEST_POSTGRES_URL"
RUNNING = "postgresql://postgres@127.0.0.1:5432/postgres"

_HELP = (
    f"these tests need PostgreSQL: name a server in {VARIABLE}, start one on 127.0.0.1:5432 that trusts the user "
    "postgres, or install PostgreSQL, so that its programs can be used for a server of their own"
)


@cache
def postgres_url() -> str:
    """Return the URL of the maintenance database of a running server. Fails the test if there is none."""
    named = os.environ.get(VARIABLE)
    if named is not None:
        return named
    return RUNNING if _answers(RUNNING) else _throw_away_server()


def share_postgres() -> None:
    """Start a temporary server for this process and its children, unless a server is named.

    The tests make many databases, which is faster in memory and without fsync. Without autovacuum, the plans of
    statements do not depend on the moment. Does nothing if PostgreSQL is not installed.
    """
    if VARIABLE in os.environ:
        return
    with suppress(NoServerError):
        server = ThrowAwayServer(autovacuum=False)
        atexit.register(server.remove)
        server.start()
        os.environ[VARIABLE] = server.url


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=30).close()
    except psycopg.OperationalError:
        return False
    return True


def _throw_away_server() -> str:
    """Start a temporary server that ends with this process."""
    try:
        server = ThrowAwayServer()
        atexit.register(server.remove)
        server.start()
    except NoServerError as error:
        pytest.fail(f"{error}\n{_HELP}", pytrace=False)
    return server.url


class ThrowAwayServer:
    """A temporary server on a free port, which a test may stop at any moment."""

    def __init__(self, *, fsync: bool = False, autovacuum: bool = True) -> None:
        self.folder = self._folder = Path(tempfile.mkdtemp(prefix="server-jobs-postgres-"))
        self._programs, self.port = programs_for(self._folder), free_port()
        self._user = user_for(self._folder)
        self._options = (
            f"-p {self.port} -k {self._folder} -c listen_addresses=127.0.0.1 -c fsync={'on' if fsync else 'off'} "
            f"-c autovacuum={'on' if autovacuum else 'off'} -c max_connections=500"  # several storms may run at once
        )
        self._data = self._folder / "data"
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        initdb, options = self._programs / "initdb", ("-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
        run_as([initdb, "-D", self._data, *options], self._user)

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._control("-w", "-l", str(self._folder / "log"), "-o", self._options, "start")

    def use_tls(self) -> Path:
        """Let it offer TLS from its next start on. Return the file of its certificate."""
        certificate, key = self._data / "server.crt", self._data / "server.key"
        subject = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")
        files = ("-keyout", key, "-out", certificate)
        run_as(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject, *files], self._user)
        with (self._data / "postgresql.conf").open("a") as settings:
            settings.write("ssl = on\n")
        return certificate

    def stop_at_once(self) -> None:
        """Stop it as a crash would."""
        self._control("-w", "-m", "immediate", "stop")

    def remove(self) -> None:
        """Stop it if it runs, and delete its files."""
        if (self._data / "postmaster.pid").exists():
            self.stop_at_once()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _control(self, *arguments: str) -> None:
        run_as([self._programs / "pg_ctl", "-D", self._data, *arguments], self._user)
