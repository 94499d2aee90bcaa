"""The settings of the Worker: `[tool.server-jobs.cloudflare]`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from server_jobs.errors import ProjectError
from server_jobs.project import Project, SettingsTable

STORES = ("d1", "durable-objects")
"""The stores of a Worker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudflareSettings:
    """The settings of the Worker, under `[tool.server-jobs.cloudflare]`."""

    store: str = "d1"
    """`d1` for one D1 or Turso database, or `durable-objects` for one object per tenant."""

    def __post_init__(self) -> None:
        if self.store not in STORES:
            message = f"store must be {' or '.join(map(repr, STORES))}, not {self.store!r}"
            raise ProjectError(f"[tool.server-jobs.cloudflare] {message}")


def _read(table: Mapping[str, object]) -> CloudflareSettings:
    store = table.get("store", "d1")
    return CloudflareSettings(store=store if isinstance(store, str) else repr(store))


CLOUDFLARE = SettingsTable(name="cloudflare", keys=("store",), read=_read)


def has_tenants(project: Project) -> bool:
    """Whether the Worker keeps the jobs of each tenant in a separate object."""
    return "cloudflare" in project.outputs and CLOUDFLARE.of(project).store == "durable-objects"
