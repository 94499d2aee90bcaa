"""The environment of the harness's child processes, and excerpts from their error output."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]

_URL = re.compile(r"[\w+]+://[^\s'\"]+")


def child_environment() -> dict[str, str]:
    """Return the environment of this process, with the packages of this checkout importable."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path}


def last_words(text: str, lines: int = 1) -> str:
    """Return the last lines of an error output, without the folders of this machine and the URLs of its servers."""
    text = _URL.sub("URL", text)
    for folder, short in (
        (sys.prefix, "$VENV"),
        (str(ROOT), "."),
        (tempfile.gettempdir(), "$TMPDIR"),
        (str(Path.home()), "~"),
    ):
        text = text.replace(folder, short)
    return "\n".join([line for line in text.splitlines() if line.strip()][-lines:]) or "nothing was said"
