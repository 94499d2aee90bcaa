"""The registry of a project, imported from where its place (`module:attribute`) says."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from importlib import import_module

from server_jobs.errors import InvalidOptionError, ProjectError
from server_jobs.registry import JobRegistry

_IMPORT_MACHINERY = ("<frozen ", "importlib")


def import_registry(place: str, folders: Sequence[str]) -> JobRegistry:
    """Import the module, with these folders first on the path, and take the registry from it, its handlers included.

    Raises `InvalidOptionError` for a place of another form, `ProjectError` when the import fails: with the line it
    failed at, since that line is for the user to mend.
    """
    module_name, _, attribute = place.partition(":")
    if not all(part.isidentifier() for part in (*module_name.split("."), attribute)):
        raise InvalidOptionError(f"--registry must be MODULE:ATTRIBUTE, such as 'shop.jobs:registry', not {place!r}")
    sys.path[:0] = [folder for folder in folders if folder not in sys.path]
    try:
        registry: object = getattr(import_module(module_name), attribute, None)
        if isinstance(registry, JobRegistry):
            registry.load()
    except (Exception, SystemExit) as error:  # whatever the modules of a project raise
        raise ProjectError(_why(module_name, error, folders)) from error
    if not isinstance(registry, JobRegistry):
        found = "there is none" if registry is None else f"it is a {type(registry).__name__}"
        raise ProjectError(f"{place} must be a JobRegistry, as `create_job_registry()` makes it, but {found}")
    return registry


def _why(module_name: str, error: BaseException, folders: Sequence[str]) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name and f"{module_name}.".startswith(f"{error.name}."):
        return f"there is no module {error.name} in {' or '.join(folders)}"
    message = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{module_name} cannot be imported: {type(error).__name__}: {message}{_where(error)}"


def _where(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return f" (at {error.filename}:{error.lineno})"
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(_IMPORT_MACHINERY)
    ]
    return f" (at {frames[-1].filename}:{frames[-1].lineno})" if len(frames) > 1 else ""
