"""The registry of a project, for the command line and for tests."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType

from .errors import InvalidOptionError, ProjectError
from .logs import enable_our_loggers
from .project import Project
from .registry import JobRegistry

_IMPORT_MACHINERY = ("<frozen ", "importlib")


def registry_of(project: Project, only: str | None = None) -> JobRegistry:
    """Import the generated registry of a project, with all jobs or `only` one. Raises `ProjectError`."""
    path = project.root / project.output / "registry.py"
    if not path.is_file():
        raise ProjectError(
            f"nothing is generated yet, there is no {path}; run `server-jobs generate`, "
            "or name a registry of your own with --registry MODULE:ATTRIBUTE"
        )
    return import_registry(f"{project.output_package}.registry:registry", import_folders(project.root), only)


def import_folders(root: Path) -> list[str]:
    """Return the folders from which the modules of a project are imported: its own, and `src` if it exists."""
    root = root.absolute()
    return [str(folder) for folder in (root, root / "src") if folder == root or folder.is_dir()]


def import_registry(place: str, folders: Sequence[str], only: str | None = None) -> JobRegistry:
    """Import the registry with its jobs and handlers, with these folders first on the path.

    `only` is the name of the one job to import, if the command needs no other one. The registry may lack it. Raises
    `InvalidOptionError` for an invalid place. Raises `ProjectError` if the import fails, with the line that failed.
    """
    module_name, _, attribute = place.partition(":")
    if not all(part.isidentifier() for part in (*module_name.split("."), attribute)):
        raise InvalidOptionError(f"--registry must be MODULE:ATTRIBUTE, such as 'shop.jobs:registry', not {place!r}")
    with _importing(module_name, folders):
        registry: object = getattr(import_module(module_name), attribute, None)
        if isinstance(registry, JobRegistry):
            registry.load() if only is None else registry.get(only)
        enable_our_loggers()
    if not isinstance(registry, JobRegistry):
        found = "there is none" if registry is None else f"it has the type {type(registry).__name__}"
        raise ProjectError(f"{place} must be a JobRegistry, as `create_job_registry()` makes it, but {found}")
    return registry


def import_application(module_name: str, folders: Sequence[str]) -> ModuleType:
    """Import a module, with these folders first on the path. Raises `ProjectError` with the line that failed."""
    with _importing(module_name, folders):
        return import_module(module_name)


@contextmanager
def _importing(module_name: str, folders: Sequence[str]) -> Iterator[None]:
    sys.path[:0] = [folder for folder in folders if folder not in sys.path]
    try:
        yield
    except (Exception, SystemExit) as error:  # modules of a project may raise anything
        raise ProjectError(_import_problem(module_name, error, folders)) from error


def _import_problem(module_name: str, error: BaseException, folders: Sequence[str]) -> str:
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
