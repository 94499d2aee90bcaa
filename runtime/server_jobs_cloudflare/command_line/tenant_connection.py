"""A connection to the object of a tenant, whose routes speak the protocol of libSQL."""

from __future__ import annotations

from server_jobs.domain.interfaces import Store
from server_jobs_turso.database import TursoDatabase

from ..tenant_store import TenantStore


class TenantDatabase(TursoDatabase):
    """The database of one tenant. Its store refuses jobs of other tenants."""

    def __init__(self, url: str, tenant: str, *, token_variable: str) -> None:
        super().__init__(url, token_variable=token_variable)
        self._tenant = tenant

    def own_store(self) -> Store:
        """As in `HasOwnStore`."""
        return TenantStore(self, self._tenant)
