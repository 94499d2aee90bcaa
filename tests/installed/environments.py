"""Empty environments, each with the wheel of this checkout and the extras of a `pip install` in the docs."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
# `make release-check` installs the wheel to be released on each Python.
PYTHON = os.environ.get("SERVER_JOBS_INSTALLED_PYTHON", sys.executable)
WHEEL = os.environ.get("SERVER_JOBS_INSTALLED_WHEEL", "")
EXTRAS = re.compile(r"^server-jobs(\[[\w,]+\])?$")


class Environments:
    """Environments in `folder`, created at first use."""

    def __init__(self, folder: Path, wheel: str = WHEEL, python: str = PYTHON) -> None:
        self._folder = folder
        self._python = python
        self._made: dict[str, Path] = {}
        self._wheel = Path(wheel) if wheel else _built_wheel(folder)
        # The locked versions, so that new releases of other packages do not fail these tests.
        locked = re.findall(
            r"^([\w.-]+==[^\s\\]+(?: *;[^\\\n]+)?)", (ROOT / "requirements.lock").read_text(), re.MULTILINE
        )
        self._constraints = folder / "constraints.txt"
        self._constraints.write_text("\n".join(locked))

    def programs(self, install: str) -> Path:
        """Return the folder of the programs in an environment after `pip install` with these arguments."""
        if install not in self._made:
            environment = self._folder / f"environment-{len(self._made)}"
            _run(self._python, "-m", "venv", str(environment))
            packages = [EXTRAS.sub(rf"{self._wheel}\1", package) for package in shlex.split(install)]
            pip = (
                str(environment / "bin" / "python"),
                "-m",
                "pip",
                "--quiet",
                "--disable-pip-version-check",
                "install",
            )
            _run(*pip, "--constraint", str(self._constraints), *packages)
            self._made[install] = environment / "bin"
        return self._made[install]


def _built_wheel(folder: Path) -> Path:
    _run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder))
    (wheel,) = folder.glob("*.whl")
    return wheel


def _run(*command: str) -> None:
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, f"{shlex.join(command)}\n{finished.stdout}{finished.stderr}"
