"""URLs of databases: their source, their parts, and their form without a password."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

from ..errors import InvalidOptionError

DATABASE_URL = "SERVER_JOBS_DATABASE_URL"
TURSO_URL = "TURSO_DATABASE_URL"
TURSO_TOKEN = "TURSO_AUTH_TOKEN"  # noqa: S105  the name of the variable, not a token
DEFAULT_FILE = "server-jobs.sqlite3"
DEFAULT_URL = f"sqlite:///{DEFAULT_FILE}"
D1_BINDING = "DB"
ALARM_BINDING, ALARM_CLASS = "JOBS_ALARM", "JobsAlarm"
"""The object beside the database of a Worker that wakes it."""
TENANTS_BINDING, DIRECTORY_BINDING = "TENANTS", "TENANT_DIRECTORY"
"""The objects of tenants, and the object that lists them."""

POSTGRES_SCHEMES = ("postgresql", "postgres", "postgresql+asyncpg", "postgresql+psycopg")
TURSO_SCHEMES = ("libsql", "https", "http")

_TENANTS = re.compile(r"(?P<all>https?://[^/]+/_jobs/tenants)(?:/(?P<name>[^/?]+))?/?(?:\?.*)?")
_PASSWORD = re.compile(r"(?<=://)([^:/@]*):.*@")
_SECRET_OPTION = re.compile(r"([?&](?:password|authtoken)=)[^&]*", re.IGNORECASE)


def database_url(url: str | None = None, *, variable: str = DATABASE_URL) -> str:
    """Return the given URL, else the URL in the environment, else `sqlite:///server-jobs.sqlite3`.

    In the environment, `variable` comes before `TURSO_DATABASE_URL`.
    """
    return url or os.environ.get(variable) or os.environ.get(TURSO_URL) or DEFAULT_URL


def is_postgres(url: str) -> bool:
    """Whether a URL names a PostgreSQL database. It may have several hosts, which `urlsplit` cannot parse."""
    return url.partition("://")[0].lower() in POSTGRES_SCHEMES


@dataclass(frozen=True, slots=True)
class TenantAddress:
    """The address of all tenants of a Worker, and the name of the tenant that a URL adds to it, if any."""

    all: str
    name: str | None


def tenant_address(url: str) -> TenantAddress | None:
    """Return the parts of a URL that ends with `/_jobs/tenants` or `/_jobs/tenants/NAME`; None for any other."""
    found = _TENANTS.fullmatch(url)
    return None if found is None else TenantAddress(found["all"], found["name"] and unquote(found["name"]))


def parts_of(url: str) -> SplitResult:
    """Return the parts of a URL. Raises `InvalidOptionError` if it cannot be parsed."""
    try:
        return urlsplit(url, allow_fragments=False)  # `#` is part of the file name
    except ValueError as error:
        raise InvalidOptionError(f"the database URL {without_password(url)!r} cannot be read: {error}") from error


def without_password(url: str) -> str:
    """Return the URL for messages and logs, with everything that may be a password replaced. Accepts any text."""
    return _SECRET_OPTION.sub(r"\1***", _PASSWORD.sub(r"\1:***@", url))
