"""Find the plug-in that a table of `[tool.server-jobs]` belongs to. Imported for a project that has such a table."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, cast

from ..errors import ProjectError
from ..plug_ins import Seam
from .plug_in_tables import SettingsTable
from .unknown_key import suggestion

SETTINGS: Seam[SettingsTable[Any]] = Seam(
    "server_jobs.settings", "a `SettingsTable`", lambda value: isinstance(value, SettingsTable)
)


def plug_in_table(key: str, value: object, known: Collection[str]) -> Mapping[str, object]:
    """Return the table of a plug-in, checked by it. `known` are the keys of the core.

    Raises `ProjectError` for a wrong value or key, and if no installed plug-in has this table.
    """
    table = SETTINGS.find(key)
    if table is None:
        raise ProjectError(f"[tool.server-jobs] has no key {key!r}; {suggestion(key, [*known, *SETTINGS.names()])}")
    if table.name != key:
        raise ProjectError(f"the plug-in {key!r} for {SETTINGS.group} must have this name, not {table.name!r}")
    table.checked(value)
    return cast("Mapping[str, object]", value)
