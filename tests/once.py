"""Folders that one process of a test run makes, and all processes use."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock


def shared_folder(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Return the folder that all processes of this test run share."""
    folder = tmp_path_factory.getbasetemp()
    return folder if worker_id == "master" else folder.parent


def made_once(folder: Path, make: Callable[[Path], Path]) -> Path:
    """Return the result of `make(folder)`. Only the first process that needs it calls `make`."""
    finished = folder.with_suffix(".txt")
    with FileLock(folder.with_suffix(".lock")):
        if not finished.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            finished.write_text(str(make(folder)), encoding="utf-8")
    return Path(finished.read_text(encoding="utf-8"))
