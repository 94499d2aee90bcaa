"""URLs of PostgreSQL: every usual form works in the engine and in migrations, or is rejected with advice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from server_jobs.databases.opening import open_database, sqlalchemy_url
from server_jobs.domain.interfaces import Row, Statement
from server_jobs.errors import DatabaseError, InvalidOptionError
from sqlalchemy import create_engine, text

from tests.cli.shop import run
from tests.generator.projects import TemporaryProject, make_project
from tests.postgres import ThrowAwayServer

WHO = """
SELECT current_setting('port') AS port, current_setting('search_path') AS path, ssl
  FROM pg_stat_ssl WHERE pid = pg_backend_pid()
"""
CLOSED = "127.0.0.1:1"


@dataclass(frozen=True)
class TlsServer:
    """A server with TLS: its port, the folder of its socket, and its certificate."""

    port: int
    folder: Path
    certificate: Path

    def url(self, form: str) -> str:
        """Fill this server into a form of URL."""
        return form.format(
            port=self.port, folder=self.folder, quoted=str(self.folder).replace("/", "%2F"), crt=self.certificate
        )


@pytest.fixture(scope="module")
def tls() -> Iterator[TlsServer]:
    server = ThrowAwayServer()
    certificate = server.use_tls()
    server.start()
    copy = Path(server.folder / "root.crt")
    copy.write_bytes(certificate.read_bytes())
    yield TlsServer(server.port, server.folder, copy)
    server.remove()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> TemporaryProject:
    """A project with one job, generated."""
    project = make_project(tmp_path_factory.mktemp("project"))
    project.generate()
    return project


def asked_by_the_engine(url: str) -> Row:
    """Return the server's view of the engine's connection."""

    async def ask() -> Row:
        database = open_database(url)
        await database.open()
        try:
            ((row,),) = await database.run((Statement(WHO, writes=False), {}))
            return row
        finally:
            await database.close()

    return asyncio.run(ask())


def asked_by_migrations(url: str) -> Row:
    """Return the server's view of a connection with the URL of migrations."""
    engine = create_engine(sqlalchemy_url(url))
    try:
        with engine.connect() as connection:
            return dict(connection.execute(text(WHO)).mappings().one())
    finally:
        engine.dispose()


FORMS = {
    "several hosts": f"postgresql://postgres@{CLOSED},127.0.0.1:{{port}}/postgres",
    "several hosts, IPv6": "postgresql://postgres@[::1]:1,127.0.0.1:{port}/postgres",
    "host twice": f"postgresql://postgres@/postgres?host={CLOSED}&host=127.0.0.1:{{port}}",
    "lists": "postgresql://postgres@/postgres?host=127.0.0.1,127.0.0.1&port=1,{port}&target_session_attrs=read-write",
    "one port": "postgresql://postgres@localhost,127.0.0.1/postgres?port={port}",
    "login in options": "postgresql:///postgres?user=postgres&password=x&host=127.0.0.1&port={port}",
    "socket in options": "postgresql://postgres@/postgres?host={folder}&port={port}",
    "socket before the path": "postgresql://postgres@{quoted}/postgres?port={port}",
    "socket among hosts": "postgresql://postgres@/postgres?host=127.0.0.1,{folder}&port=1,{port}",
    "ssl=require": "postgresql://postgres@127.0.0.1:{port}/postgres?ssl=require",
    "ssl=true": "postgresql://postgres@127.0.0.1:{port}/postgres?ssl=true",
    "verify-full": "postgresql://postgres@localhost:{port}/postgres?sslmode=verify-full&sslrootcert={crt}",
    "channel binding": "postgresql://postgres@127.0.0.1:{port}/postgres?sslmode=require&channel_binding=prefer",
    "time limits": "postgresql://postgres@127.0.0.1:{port}/postgres?connect_timeout=3&keepalives=1&keepalives_idle=9"
    "&keepalives_interval=3&keepalives_count=2&tcp_user_timeout=4000",
    "search path": "postgres://postgres@127.0.0.1:{port}/postgres?search_path=a, b&options=-c%20extra_float_digits=1",
    "another driver": "postgresql+asyncpg://postgres@127.0.0.1:{port}/postgres?gssencmode=disable",
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("asked", [asked_by_the_engine, asked_by_migrations])
def test_a_usual_form_works_in_the_engine_and_in_migrations(
    tls: TlsServer, form: str, asked: Callable[[str], Row]
) -> None:
    row = asked(tls.url(FORMS[form]))
    assert row["port"] == str(tls.port)
    if "ssl" in FORMS[form]:
        assert row["ssl"]
    if form == "search path":
        assert row["path"] == "a, b"


@pytest.mark.parametrize(
    "form", ["several hosts", "host twice", "lists", "socket in options", "ssl=require", "channel binding"]
)
def test_a_usual_form_works_in_the_command(tls: TlsServer, project: TemporaryProject, form: str) -> None:
    result = project.run("migrate", "--database", tls.url(FORMS[form]))
    assert (result.exit_code, "(head)" in result.stdout) == (0, True), result.output
    listed = project.run("list", "--database", tls.url(FORMS[form]))
    assert listed.exit_code == 0, listed.output


REFUSED = [
    (
        "postgresql://u:secret@h/d?channel_binding=require",
        "asyncpg cannot do; leave it out and write sslmode=verify-full",
    ),
    ("postgresql://u:secret@h/d?gssencmode=require", "leave it out and write sslmode=require"),
    ("postgresql://u:secret@h/d?ssl=yes", "has ssl=yes; write sslmode= with one of disable, allow, prefer, require"),
    ("postgresql://u:secret@h/d?ssl=require&sslmode=require", "write sslmode= alone"),
    ("postgresql://u:secret@h/d?sslmode=on", "has sslmode=on; write one of disable"),
    ("postgresql://u:secret@h/d?target_session_attrs=master", "write one of any, read-write, read-only, primary"),
    ("postgresql://u:secret@h/d?connect_timeout=0", "write a whole number from 1 to 300"),
    ("postgresql://u:secret@h/d?tcp_user_timeout=5s", "write a whole number from 100 to 7200000"),
    ("postgresql://u:secret@h1,h2/d?port=1,2,3", "has 2 hosts and 3 ports; give one port, or one for each host"),
    ("postgresql://u:secret@h1:1,h2/d?port=2", "gives ports after hosts and in `port=`; write them in one place"),
    ("postgresql://u:secret@h1/d?host=h2", "names hosts before the path and in `host=`; write them in one place"),
    ("postgresql://u:secret@h1,/d", "a host has no name; write it, or leave out the comma"),
    ("postgresql://u:secret@[::1/d", "is no host; write an IPv6 address as [::1]:5432"),
    ("postgresql://u:secret@h:port/d", "a port is no number from 1 to 65535; write %40"),
    ("postgresql://u:1secret/x@h/d", "a port is no number; write %40"),
    ("postgresql://u:secret@h/d?sslmode", "cannot be read"),
    ("postgresql://u:secret@h/d?dbname=a&database=b", "has the option 'database' twice; write it once"),
    ("postgresql://u:secret@h/d?sslmod=require", "unknown option 'sslmod'; did you mean 'sslmode'?"),
    ("postgresql://u:secret@h/d?zzz=1", "unknown option 'zzz'; there are application_name"),
    ("postgresql://u:secret@/d?service=s&port=1", "has a service and `port=`; write the port in the service file"),
]


@pytest.mark.parametrize(("url", "advice"), REFUSED)
def test_unsupported_options_are_refused_with_advice(url: str, advice: str) -> None:
    for read in (open_database, sqlalchemy_url):
        with pytest.raises(InvalidOptionError) as raised:
            read(url)
        assert advice in str(raised.value)
        assert "secret" not in str(raised.value)


@pytest.mark.parametrize("command", ["migrate", "list", "worker", "doctor"])
def test_commands_refuse_it_too(project: TemporaryProject, command: str) -> None:
    url = "postgresql://ann:hush@127.0.0.1:1,127.0.0.1:2/shop?channel_binding=require"
    result = run(command, "--project", str(project.root), "--database", url)
    assert result.exit_code in (1, 2, 3)  # doctor, migrate, and the commands for jobs.
    assert "leave it out and write sslmode=verify-full" in result.output
    assert "hush" not in result.output


def test_hosts_of_the_environment_are_used(tls: TlsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "127.0.0.1,localhost")
    monkeypatch.setenv("PGPORT", f"1,{tls.port}")
    for asked in (asked_by_the_engine, asked_by_migrations):
        assert asked("postgresql://postgres@/postgres")["port"] == str(tls.port)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("postgresql://postgres@127.0.0.1:{port}/postgres?sslmode=verify-ca", "root certificate file"),
        ("postgresql://postgres@127.0.0.1:{port}/nowhere", 'database "nowhere" does not exist; create it first'),
        (f"postgresql://postgres@{CLOSED}/postgres", "no PostgreSQL server answers"),
        (f"postgresql://postgres@{CLOSED},127.0.0.1:{{port}}/postgres?target_session_attrs=standby", "is not the kind"),
    ],
)
def test_a_server_that_cannot_be_used_is_named_with_the_reason(tls: TlsServer, url: str, problem: str) -> None:
    with pytest.raises(DatabaseError, match=problem):
        asked_by_the_engine(tls.url(url))
