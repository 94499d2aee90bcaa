"""Edits that the bytecode of a module does not notice: Python compares the second and the size of the source only."""

from __future__ import annotations

import os
import py_compile
from pathlib import Path

SECOND = 1_700_000_000


def compile_in_second(path: Path) -> None:
    """Date a module, and leave its bytecode beside it."""
    os.utime(path, ns=(SECOND * 10**9, SECOND * 10**9))
    py_compile.compile(str(path), doraise=True, invalidation_mode=py_compile.PycInvalidationMode.TIMESTAMP)


def edit_in_second(path: Path, old: str, new: str) -> None:
    """Replace a word of a module by one of the same size, a moment later in the same second."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    assert len(old) == len(new)
    saved = path.with_name(f".#{path.name}")  # an editor's: a worker looks at the finished file only
    saved.write_text(text.replace(old, new), encoding="utf-8")
    os.utime(saved, ns=(SECOND * 10**9, SECOND * 10**9 + 500_000_000))
    saved.replace(path)
