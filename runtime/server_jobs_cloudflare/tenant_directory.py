"""The list of tenants, in the SQLite of one object. A tenant reports once after each change of its tables."""

from __future__ import annotations

import json
import re
from typing import Any, Protocol, cast

from server_jobs.errors import DatabaseError, InvalidOptionError

from .binding_names import DIRECTORY_BINDING, TENANTS_BINDING
from .databases.durable_object import DurableObjectDatabase, ObjectStorage
from .routes import RequestHeaders

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@:+-]{0,127}")

_TABLE = "CREATE TABLE IF NOT EXISTS tenants (name TEXT PRIMARY KEY, version TEXT NOT NULL) WITHOUT ROWID"
_RECORD = "INSERT INTO tenants (name, version) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET version = ?2"
_FORGET = "DELETE FROM tenants WHERE name = ?1"
_PAGE = "SELECT name, version, version <> ?1 AS is_behind FROM tenants WHERE name > ?2 ORDER BY name LIMIT ?3"
_COUNT = "SELECT count(*) AS total, count(*) FILTER (WHERE version <> ?1) AS behind FROM tenants"
# At random: tenants whose migration fails each time do not keep the others from a turn.
_BEHIND = "SELECT name FROM tenants WHERE version <> ?1 ORDER BY random() LIMIT ?2"


class TenantDirectory:
    """The object behind `GET /_jobs/tenants`. Only the Worker and the objects of tenants can call it."""

    def __init__(self, storage: ObjectStorage) -> None:
        self._database = DurableObjectDatabase(storage)
        self._database.execute(_TABLE)

    def record(self, name: str, version: str) -> None:
        """Store that this tenant exists, with its tables at this version."""
        self._database.execute(_RECORD, [name, version])

    def forget(self, name: str) -> None:
        """Remove a tenant that was deleted."""
        self._database.execute(_FORGET, [name])

    def page(self, version: str, after: str, limit: int) -> str:
        """Return tenants in the order of their names, as JSON, and how many of all have another version."""
        (count,) = self._database.execute(_COUNT, [version])
        found = self._database.execute(_PAGE, [version, after, limit])
        tenants = [{**row, "is_behind": bool(row["is_behind"])} for row in found]
        following = found[-1]["name"] if len(found) == limit else None
        return json.dumps({"version": version, **count, "tenants": tenants, "next": following})

    def behind(self, version: str, limit: int) -> str:
        """Return names of tenants with another version, chosen at random, as JSON."""
        return json.dumps([row["name"] for row in self._database.execute(_BEHIND, [version, limit])])


class TenantStub(Protocol):
    """The object of a tenant, called from the Worker."""

    async def fetch(self, request: object, /, **options: object) -> StubResponse: ...

    async def wake(self) -> object: ...

    async def delete(self) -> bool: ...

    async def insert(self, name: str, jobs: str, /) -> str: ...


class StubResponse(Protocol):
    """The used part of a `workers.Response`."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> RequestHeaders: ...

    async def text(self) -> str: ...


class DirectoryStub(Protocol):
    """The directory, called from another object or from the Worker."""

    async def record(self, name: str, version: str, /) -> object: ...

    async def forget(self, name: str, /) -> object: ...

    async def page(self, version: str, after: str, limit: int, /) -> str: ...

    async def behind(self, version: str, limit: int, /) -> str: ...


def is_name(name: str) -> bool:
    """Whether a tenant may have this name, which is a part of the address of its routes."""
    return _NAME.fullmatch(name) is not None


def check_name(name: str) -> None:
    """Raise `InvalidOptionError` unless a tenant may have this name."""
    if not is_name(name):
        raise InvalidOptionError(
            "the name of a tenant must have 1 to 128 characters of A-Z, a-z, 0-9 and ._@:+-, and start with a letter "
            f"or digit, not {name[:200]!r}"
        )


def directory_in(env: object) -> DirectoryStub:
    """Return the directory of a Worker's `env`. Raises `DatabaseError` if the binding is missing."""
    return cast("DirectoryStub", _stub(env, DIRECTORY_BINDING, "directory"))


def tenant_in(env: object, name: str) -> TenantStub:
    """Return the object of a tenant. Raises `DatabaseError` if the binding is missing."""
    return cast("TenantStub", _stub(env, TENANTS_BINDING, name))


def _stub(env: object, binding: str, name: str) -> object:
    namespace: Any = getattr(env, binding, None)
    if not hasattr(namespace, "idFromName"):
        raise DatabaseError(
            f"the Worker has no binding {binding}: bind its class under durable_objects in wrangler.jsonc, as in a new "
            "project of this version"
        )
    stub: object = namespace.get(namespace.idFromName(name))
    return stub
