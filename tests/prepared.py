"""A fast `server-jobs` and a fast Python, forked from a process that has already imported what they need.

A process spends most of its time on imports. For tests of what a command does in a project of its own, and of scripts
that run it fifty times. `make test-installed` tries each command as a real process. As a program, this module is the
process that forks.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from pkgutil import walk_packages
from runpy import run_path
from tempfile import TemporaryDirectory
from types import ModuleType

ROOT = Path(__file__).parents[1]
_PYTHON = "prepared-python"

# Replaces a program: it sends its arguments, environment and files to the forking process.
_COMMAND = """\
#!{python} -IS
import json, os, signal, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({path!r})
    call = json.dumps([sys.argv, os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(server, [len(call).to_bytes(8, "big")], [0, 1, 2])
    server.sendall(call)
    answers = server.makefile()
    process = int(answers.readline())
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: os.kill(process, number))
    sys.exit(int(answers.readline()))
"""

# All modules of these packages are imported, as the commands import most of them late: all but the slow one of `mcp`.
_PACKAGES = (
    "server_jobs.concurrency",
    "server_jobs.contract",
    "server_jobs.databases",
    "server_jobs.domain",
    "server_jobs.engine",
    "server_jobs.handle",
    "server_jobs_http",
    "server_jobs.inspection",
    "server_jobs.isolation",
    "server_jobs.migrations",
    "server_jobs.security",
    "server_jobs.stores",
    "server_jobs_cli",
    "server_jobs_generator",
    "server_jobs_importers",
    "server_jobs_outputs",
)
# Other modules that the commands import late, and those of Django that need no settings.
_MODULES = (
    "alembic.autogenerate",
    "alembic.command",
    "black",
    "datamodel_code_generator.model.pydantic_v2",
    "datamodel_code_generator.parser.jsonschema",
    "django.core.management",
    "django.db.backends.postgresql.base",
    "django.db.backends.sqlite3.base",
    "django.test.runner",
    "server_jobs_cli.program",
    "server_jobs_cli.generator.generate",
    "server_jobs_generator.python.code_check",
    "server_jobs_generator.contracts.against_revision",
    "server_jobs_outputs.api_documents",
    "server_jobs_generator.pipeline",
    "server_jobs_generator.migrations.revisions",
    "server_jobs_generator.migrations.existing_state",
    "sqlalchemy.dialects.sqlite",
    "starlette.applications",
)


@cache
def prepared_program(python: str = sys.executable) -> str:
    """Return the path of a `server-jobs` that starts at once, in the environment of this Python.

    It works until this process ends.
    """
    stack = ExitStack()
    atexit.register(stack.close)
    return str(stack.enter_context(_prepared_command(python)))


def prepared_python() -> str:
    """Return the path of a Python that runs `-c TEXT` or a file, and starts at once."""
    return str(Path(prepared_program()).with_name(_PYTHON))


@contextmanager
def _prepared_command(python: str) -> Iterator[Path]:
    with TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "socket"
        for program in ("server-jobs", _PYTHON):
            (folder / program).write_text(_COMMAND.format(python=python, path=str(path)), encoding="utf-8")
            (folder / program).chmod(0o755)
        command = [python, "-m", "tests.prepared", str(path)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                assert process.stdout.readline() == "ready\n"
                yield folder / "server-jobs"
            finally:
                process.kill()


def main(path: str) -> None:
    """Import everything that this environment has, and fork for each call."""
    for module in _MODULES:
        if find_spec(module.partition(".")[0]):
            import_module(module)
    for package in _PACKAGES:
        with suppress(ImportError):  # of a library that this environment lacks
            _import_all(import_module(package))
    sys.path = [place for place in sys.path if Path(place or ".").resolve() != ROOT]
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nothing waits for the children of this process
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        print("ready", flush=True)
        while True:
            call, _ = listener.accept()
            with call:
                if not os.fork():
                    listener.close()
                    _attend(call)


def _import_all(package: ModuleType) -> None:
    for found in walk_packages(package.__path__, f"{package.__name__}."):
        if not found.name.endswith((".__main__", ".mcp_server")):
            with suppress(ImportError):
                import_module(found.name)


def _attend(call: socket.socket) -> None:
    """Fork once more for the command, and send its process id and its status."""
    length, files, _, _ = socket.recv_fds(call, 8, 3)
    words, folder, environment = json.loads(call.makefile("rb").read(int.from_bytes(length, "big")))
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    process = os.fork()
    if not process:
        call.close()
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        sys.stdin, sys.stdout = os.fdopen(0, closefd=False), os.fdopen(1, "w", closefd=False)
        sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        sys.path[:0] = filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
        try:
            _run(Path(words[0]).name, words[1:], folder)
        except SystemExit as exit_call:
            if not isinstance(exit_call.code, int | None):
                raise
            _end(exit_call.code or 0)
        _end(0)
    call.sendall(f"{process}\n".encode())
    for number in range(3):
        os.close(number)
    for file in files:
        os.close(file)
    _, status = os.waitpid(process, 0)
    with suppress(BrokenPipeError):
        call.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _end(status: int) -> None:
    """End as Python does, but leave its objects to the system: releasing thousands of modules takes 80 ms."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    gc.collect()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        sys.exit(status)
    os._exit(status & 0xFF)


def _run(program: str, arguments: list[str], folder: str) -> None:
    if program == _PYTHON:
        sys.path.insert(0, folder)
        if arguments[0] == "-c":
            sys.argv = ["-c", *arguments[2:]]
            exec(arguments[1], {"__name__": "__main__"})
        else:
            sys.argv = arguments
            run_path(arguments[0], run_name="__main__")
    else:
        sys.argv = [program, *arguments]
        import_module("server_jobs_cli").main()


if __name__ == "__main__":
    main(sys.argv[1])
