"""Settings of plug-ins: a table of `[tool.server-jobs]` for each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from ..errors import ProjectError
from .unknown_key import suggestion

if TYPE_CHECKING:
    from .project import Project

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsTable(Generic[T]):
    """The table `[tool.server-jobs.NAME]`: an entry point NAME of the group `server_jobs.settings`.

    `find_project` checks the table with it, so its module should import little.
    """

    name: str
    """The name of the table, and of the entry point."""
    keys: Collection[str]
    """All keys that the table may have."""
    read: Callable[[Mapping[str, object]], T]
    """Return the settings of a table that has only these keys, or none of them. Raises `ProjectError`."""

    def of(self, project: Project) -> T:
        """Return the settings of this project."""
        return self.checked(project.plug_in_tables.get(self.name, {}))

    def checked(self, value: object) -> T:
        """Return the settings of a parsed value. Raises `ProjectError` for a wrong value or key."""
        return self.read(checked_table(f"tool.server-jobs.{self.name}", value, self.keys))


def checked_table(place: str, value: object, keys: Collection[str] | None = None) -> Mapping[str, object]:
    """Return the parsed table at this place, such as `tool.server-jobs.shelf`. `keys` are the known ones; None: any.

    Raises `ProjectError` if the value is no table, or has an unknown key.
    """
    if not isinstance(value, dict):
        raise ProjectError(f"{place} must be a table such as [{place}], not {value!r}")
    table = cast("Mapping[str, object]", value)
    for key in table:
        if keys is not None and key not in keys:
            raise ProjectError(f"[{place}] has no key {key!r}; {suggestion(key, list(keys))}")
    return table
