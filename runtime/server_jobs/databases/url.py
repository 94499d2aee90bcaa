"""The URL of a database: where it comes from, and what it says before any driver is asked."""

from __future__ import annotations

import os
import re
from urllib.parse import SplitResult, urlsplit

from ..errors import InvalidOptionError

DATABASE_URL = "SERVER_JOBS_DATABASE_URL"
TURSO_URL = "TURSO_DATABASE_URL"
DEFAULT_URL = "sqlite:///server-jobs.sqlite3"
D1_BINDING = "DB"

POSTGRES_SCHEMES = ("postgresql", "postgres", "postgresql+asyncpg", "postgresql+psycopg")
TURSO_SCHEMES = ("libsql", "https", "http")

_PASSWORD = re.compile(r"(?<=://)([^:/@]*):.*@")
_SECRET_OPTION = re.compile(r"([?&](?:password|authtoken)=)[^&]*", re.IGNORECASE)


def database_url(url: str | None = None, *, variable: str = DATABASE_URL) -> str:
    """The URL given, else that in the environment, else the SQLite file `server-jobs.sqlite3` in this folder.

    In the environment, `variable` comes before `TURSO_DATABASE_URL`.
    """
    return url or os.environ.get(variable) or os.environ.get(TURSO_URL) or DEFAULT_URL


def is_postgres(url: str) -> bool:
    """Whether a URL names a PostgreSQL database. Such a URL may have several hosts, which `urlsplit` cannot read."""
    return url.partition("://")[0].lower() in POSTGRES_SCHEMES


def parts_of(url: str) -> SplitResult:
    """The parts of a database URL. Raises `InvalidOptionError` for a text that has none."""
    try:
        return urlsplit(url, allow_fragments=False)  # a `#` is a part of the file's name
    except ValueError as error:
        raise InvalidOptionError(f"the database URL {without_password(url)!r} cannot be read: {error}") from error


def without_password(url: str) -> str:
    """The URL for messages and logs: the password, or what may be one, is replaced. Takes any text."""
    return _SECRET_OPTION.sub(r"\1***", _PASSWORD.sub(r"\1:***@", url))
