"""Turso and libSQL over HTTP: `database` is the adapter, `hrana` the protocol, and each transport one HTTP client."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from server_jobs.databases.kinds import DatabaseKind

from .url import SCHEMES, TURSO_URL

if TYPE_CHECKING:
    from server_jobs.domain.interfaces import Database

_ROUTES = "/_jobs/"


def _open(url: str) -> Database | None:
    if urlsplit(url).path.startswith(_ROUTES):
        return None  # the HTTP routes of an application, not a libSQL server
    from .database import TursoDatabase  # when a URL names such a server

    return TursoDatabase(url)


DATABASES = DatabaseKind(schemes=SCHEMES, example="libsql://name-organization.turso.io", open=_open, variable=TURSO_URL)
