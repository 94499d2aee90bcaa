"""`later_in` in an environment with one library and no extra: it stores jobs, and checkers see a forgotten `await`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from server_jobs.schema import jobs, metadata
from sqlalchemy import create_engine, select

from tests.generator.databases import postgres_database

from .environments import Environments
from .projects import User, copy_of

_HEAD = """
from generated.jobs import SendEmail
from generated.models.send_email import SendEmailParamsDict

EMAIL: SendEmailParamsDict = {"to": "ada@example.com", "subject": "Hello"}
READERS = ("ada@example.com", "bob@example.com")
NEWS: list[SendEmailParamsDict] = [{"to": reader, "subject": "News"} for reader in READERS]
FILE = "server-jobs.sqlite3"
URL = "@URL@"
"""
_SQLITE3 = """
import sqlite3

with sqlite3.connect(FILE) as connection:
    SendEmail.later_in(connection, EMAIL)
    SendEmail.later_many_in(connection, NEWS)
"""
_AIOSQLITE = """
import asyncio
import aiosqlite


async def main() -> None:
    async with aiosqlite.connect(FILE) as connection:
        await SendEmail.later_in(connection, EMAIL)
        await SendEmail.later_many_in(connection, NEWS)
        await connection.commit()
        # SendEmail.later_in(connection, EMAIL)  # refused


asyncio.run(main())
"""
_PSYCOPG = """
import asyncio
import psycopg

with psycopg.connect(URL) as connection:
    SendEmail.later_in(connection, EMAIL)


async def main() -> None:
    async with await psycopg.AsyncConnection.connect(URL) as connection:
        await SendEmail.later_many_in(connection, NEWS)
        # SendEmail.later_in(connection, EMAIL)  # refused


asyncio.run(main())
"""
_ASYNCPG = """
import asyncio
import asyncpg


async def main() -> None:
    async with asyncpg.create_pool(URL) as pool, pool.acquire() as connection, connection.transaction():
        await SendEmail.later_in(connection, EMAIL)
        await SendEmail.later_many_in(connection, NEWS)
        # SendEmail.later_in(connection, EMAIL)  # refused


asyncio.run(main())
"""
_DJANGO = """
from django.conf import settings

settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": FILE}})

from django.db import connection, transaction

transaction.set_autocommit(False)  # checkers without stubs do not understand `atomic`
SendEmail.later_in(connection, EMAIL)
SendEmail.later_many_in("default", NEWS)
transaction.commit()
"""
_SQLALCHEMY = """
from typing import TYPE_CHECKING
from sqlalchemy import create_engine

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

with create_engine(f"sqlite:///{FILE}").begin() as connection:
    SendEmail.later_in(connection, EMAIL)
    SendEmail.later_many_in(connection, NEWS)


async def place(session: "AsyncSession") -> None:
    await SendEmail.later_in(session, EMAIL)
    # SendEmail.later_in(session, EMAIL)  # refused
"""
_LIBRARIES = {
    "sqlite3": ("server-jobs", _SQLITE3),
    "aiosqlite": ("server-jobs aiosqlite", _AIOSQLITE),
    "psycopg": ("server-jobs 'psycopg[binary]'", _PSYCOPG),
    "asyncpg": ("server-jobs asyncpg asyncpg-stubs", _ASYNCPG),
    "django": ("server-jobs django", _DJANGO),
    "sqlalchemy": ("server-jobs sqlalchemy", _SQLALCHEMY),
}


@contextmanager
def database_for(program: str, folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the URL for the program, and the URL of the same database for SQLAlchemy."""
    if "URL)" not in program:
        yield "", f"sqlite:///{folder}/server-jobs.sqlite3"
        return
    with postgres_database() as url:
        engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
        metadata.create_all(engine)
        engine.dispose()
        yield url, url.replace("postgresql://", "postgresql+psycopg://")


@pytest.mark.parametrize("library", _LIBRARIES)
def test_one_library_is_enough(library: str, tmp_path: Path, project: Path, environments: Environments) -> None:
    install, text = _LIBRARIES[library]
    user = User(copy_of(project, tmp_path), environments.programs(install))
    with database_for(text, user.folder) as (url, place):
        program = (_HEAD + text).replace("@URL@", url)
        (user.folder / "app.py").write_text(program, encoding="utf-8")
        user.types("python app.py")
        engine = create_engine(place)
        with engine.connect() as connection:
            assert len(connection.execute(select(jobs.c.id)).all()) == 3
        engine.dispose()

    program = program.replace("# SendEmail", "SendEmail")
    (user.folder / "app.py").write_text(program, encoding="utf-8")
    refused = {number for number, line in enumerate(program.splitlines(), 1) if line.endswith("# refused")}
    assert (lines_of_mypy(user), lines_of_pyright(user)) == (refused, refused)


def lines_of_mypy(user: User) -> set[int]:
    """Return the lines of `app.py` with errors, where only the packages of the user are installed."""
    (user.folder / "mypy.ini").write_text("[mypy]\nstrict = True\n[mypy-django.*]\nignore_missing_imports = True\n")
    output = _output(user, "mypy", "--python-executable", str(user.programs / "python"), "-O", "json", "app.py")
    found = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return {one["line"] for one in found if one["file"] == "app.py" and one["severity"] == "error"}


def lines_of_pyright(user: User) -> set[int]:
    """Like `lines_of_mypy`."""
    output = _output(user, "pyright", "--outputjson", "--pythonpath", str(user.programs / "python"), "app.py")
    found = json.loads(output)["generalDiagnostics"]
    return {one["range"]["start"]["line"] + 1 for one in found if one["severity"] == "error"}


def _output(user: User, checker: str, *options: str) -> str:
    command = [sys.executable, "-m", checker, *options]
    return subprocess.run(command, cwd=user.folder, capture_output=True, text=True, check=False).stdout
