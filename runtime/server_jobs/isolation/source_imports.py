"""Imports that read the source of a module and never its bytecode, for a process that must run the newest code.

Python compares only the second and the size of a source with its bytecode. A text that is saved twice in one second may
keep the bytecode of the first one. Another process can write that bytecode at any time, so deleting it is not enough.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.machinery import SourceFileLoader
from typing import Any

_LIBRARIES = f"{os.sep}site-packages{os.sep}"

_folders: list[str] = []
_stats_of = SourceFileLoader.path_stats


def import_from_source(folders: Iterable[str]) -> None:
    """From now on, compile the modules below these folders from their source. Neither read nor write their bytecode.

    Installed libraries keep theirs. Modules that are imported already stay as they are.
    """
    # Path hooks, the finders of editable installs and calls with the path of a file all end in this class. Without the
    # date of the source, it leaves bytecode alone.
    SourceFileLoader.path_stats = _path_stats  # type: ignore[method-assign]
    for folder in folders:
        _folders.extend({os.path.abspath(folder), os.path.realpath(folder)})  # noqa: PTH100  keeps the links


@contextmanager
def importing_from_source(folders: Iterable[str]) -> Iterator[None]:
    """Like `import_from_source`, until the end of the block."""
    before = [*_folders]
    import_from_source(folders)
    try:
        yield
    finally:
        _folders[:] = before


def source_folders() -> list[str]:
    """Return the folders, for a process that this one starts."""
    return [*_folders]


def _path_stats(self: SourceFileLoader, path: str) -> Mapping[str, Any]:
    if _is_from_source(path):
        raise OSError(f"{path} is compiled from its source")
    return _stats_of(self, path)


def _is_from_source(path: str) -> bool:
    if not _folders or _LIBRARIES in path:
        return False
    prefixes = tuple(os.path.join(folder, "") for folder in _folders)  # noqa: PTH118  adds the separator
    # A link may lead to the folder, or out of it.
    return os.path.abspath(path).startswith(prefixes) or os.path.realpath(path).startswith(prefixes)  # noqa: PTH100
