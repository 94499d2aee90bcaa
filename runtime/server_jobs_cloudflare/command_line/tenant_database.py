"""The database of one tenant of a deployed Worker, by its address: `https://HOST/_jobs/tenants/NAME`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server_jobs.databases.kinds import DatabaseKind
from server_jobs.errors import InvalidOptionError
from server_jobs.security.variables import TOKEN_VARIABLE

from ..tenant_address import tenant_address

if TYPE_CHECKING:
    from server_jobs.domain.interfaces import Database


def _open(url: str) -> Database | None:
    address = tenant_address(url)
    if address is None:
        return None
    if address.name is None:
        raise InvalidOptionError(
            f"{address.all} is the address of all tenants; add the name of one: {address.all}/NAME"
        )
    from .tenant_connection import TenantDatabase  # when a URL names a tenant

    return TenantDatabase(url, address.name, token_variable=TOKEN_VARIABLE)


TENANTS = DatabaseKind(schemes=("https", "http"), open=_open)
