"""The Pythons of this machine, and the tests of an installation on one of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from .programs import CheckFailedError, run

SUPPORTED = ("3.11", "3.12", "3.13", "3.14")
PARTS = "test_extras or tutorial or README"


def pythons() -> Iterator[tuple[str, str]]:
    """Yield each supported version with its interpreter, or "" if this machine has none."""
    # The commands that pyenv puts on the path only work for the chosen version.
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    path = os.pathsep.join([*map(str, versions.glob("*/bin")), os.environ["PATH"]])
    for version in SUPPORTED:
        try:
            yield (
                version,
                run("uv", "python", "find", "--no-python-downloads", "--no-project", "--system", version, PATH=path),
            )
        except CheckFailedError:
            yield version, ""


def installs_on(python: str, wheel: Path) -> str:
    """Install each extra into an empty environment of this Python, and follow the tutorial there.

    `make test-installed` tries the other pages, on one Python.
    """
    tests = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/installed", "-k", PARTS)
    return run(*tests, SERVER_JOBS_INSTALLED_PYTHON=python, SERVER_JOBS_INSTALLED_WHEEL=str(wheel)).splitlines()[-1]
