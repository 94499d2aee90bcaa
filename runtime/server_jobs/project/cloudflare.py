"""The settings of the Worker: `[tool.server-jobs.cloudflare]`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from ..errors import ProjectError
from .unknown_key import suggestion

_TABLE = "tool.server-jobs.cloudflare"
STORES = ("d1", "durable-objects")
"""The stores of a Worker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudflareSettings:
    """The settings of the Worker, under `[tool.server-jobs.cloudflare]`."""

    store: str = "d1"
    """`d1` for one D1 or Turso database, or `durable-objects` for one object per tenant."""

    def __post_init__(self) -> None:
        if self.store not in STORES:
            raise ProjectError(f"[{_TABLE}] store must be {' or '.join(map(repr, STORES))}, not {self.store!r}")


def cloudflare_settings(value: object) -> CloudflareSettings:
    """Read the table. Raises `ProjectError` for an unknown key or a wrong value."""
    if not isinstance(value, dict):
        raise ProjectError(f"[{_TABLE}] must be a table such as {{store = 'durable-objects'}}, not {value!r}")
    settings = cast("Mapping[str, object]", value)
    if unknown := sorted(settings.keys() - {"store"}):
        raise ProjectError(f"[{_TABLE}] has no key {unknown[0]!r}; {suggestion(unknown[0], ['store'])}")
    store = settings.get("store", "d1")
    return CloudflareSettings(store=store if isinstance(store, str) else repr(store))
