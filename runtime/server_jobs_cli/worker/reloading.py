"""`worker --reload`: restart the processes after each change of the code, for development."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from server_jobs_generator.read.library import is_leftover

from ..console.workspace import Workspace
from ..file_changes import Identity, Look, changes, files_below, identity, named
from .worker_log import EVENTS

_logger = logging.getLogger(EVENTS)
_FOREIGN = frozenset({"__pycache__", "node_modules", "site-packages"})
_SETTINGS = "pyproject.toml"


def reload_on_change(workspace: Workspace, program: Sequence[str], restart: Callable[[str], None]) -> None:
    """Watch the project in a thread. Generate after a change of a spec, and call `restart` for new code.

    `program` is the command line that starts `server-jobs`. `restart` is called in the current event loop, with the
    names of the changed files. The thread ends with this process.
    """
    loop = asyncio.get_running_loop()
    project = workspace.project
    root = watched_folder(workspace)
    specs = "" if project is None or workspace.registry_place is not None else project.specs
    command = [*program, "generate", "--project", str(root)]
    look_now = partial(look, root, specs)
    seen = look_now()  # before the processes start, so that no change is missed

    def follow() -> None:
        for paths in changes(look_now, seen):
            if specs and any(path == _SETTINGS or path.startswith(f"{specs}/") for path in paths):
                _generate(command, paths)
            if any(path == _SETTINGS or path.endswith(".py") for path in paths):
                loop.call_soon_threadsafe(restart, named(paths))

    threading.Thread(target=follow, name="server-jobs-reload", daemon=True).start()


def watched_folder(workspace: Workspace) -> Path:
    """Return the folder of the project, or of the command if there is no project."""
    return workspace.folder if workspace.project is None else workspace.project.root


def look(root: Path, specs: str) -> Look:
    """Return the Python files of a project, its specs and its settings.

    Folders of hidden names, of libraries and of environments are left out.
    """
    found: dict[str, Identity] = {}
    if (settings := root / _SETTINGS).is_file():
        found[_SETTINGS] = identity(settings.stat())
    if specs:
        found |= dict(files_below(root / specs, f"{specs}/", lambda entry: is_leftover(entry.name)))
    return found | dict(files_below(root, "", _is_no_code))


def _is_no_code(entry: os.DirEntry[str]) -> bool:
    if entry.is_dir():
        is_environment = Path(entry.path, "pyvenv.cfg").exists()
        is_link = entry.is_symlink()  # which may lead around in circles
        return is_link or is_environment or entry.name.startswith(".") or entry.name in _FOREIGN
    return not entry.name.endswith(".py") or is_leftover(entry.name)


def _generate(command: Sequence[str], paths: Sequence[str]) -> None:
    """Generate. The new code is the next change. If it fails, the old code goes on, and the output says why."""
    _logger.info("%s changed; generating", named(paths), extra={"event": "generating"})
    subprocess.run(command, check=False)  # noqa: S603  ours
