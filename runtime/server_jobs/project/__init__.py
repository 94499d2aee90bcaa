"""The settings of a project: `[tool.server-jobs]` in pyproject.toml."""

from .plug_in_tables import SettingsTable, checked_table
from .project import ALLOWABLE, Project, find_project

__all__ = ["ALLOWABLE", "Project", "SettingsTable", "checked_table", "find_project"]
