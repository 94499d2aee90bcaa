"""Several databases of a project: `[tool.server-jobs.databases]`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from ..errors import InvalidOptionError, ProjectError
from ..routing import check_databases

_TABLE = "tool.server-jobs.databases"


def databases_settings(value: object) -> Mapping[str, str]:
    """Read the table: the environment variable with the URL of each database, by name. Raises `ProjectError`."""
    entries = cast("dict[str, object]", value).items() if isinstance(value, dict) else ()
    if not isinstance(value, dict) or not all(isinstance(variable, str) for _, variable in entries):
        raise ProjectError(f"[{_TABLE}] must be a table such as {{eu = 'EU_DATABASE_URL'}}, not {value!r}")
    databases = {name: str(variable) for name, variable in entries}
    try:
        check_databases(databases)
    except InvalidOptionError as error:
        raise ProjectError(f"[{_TABLE}] {error}") from error
    return databases
