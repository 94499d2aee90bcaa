"""Empty environments, each with the wheel of this checkout and the extras that one `pip install` of the docs names."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXTRAS = re.compile(r"^server-jobs(\[[\w,]+\])?$")


class Environments:
    """Made when they are first asked for, in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[str, Path] = {}
        _run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder))
        (self._wheel,) = folder.glob("*.whl")
        # The versions of the lock file, so that a release of somebody else does not fail these tests.
        locked = re.findall(
            r"^([\w.-]+==[^\s\\]+(?: *;[^\\\n]+)?)", (ROOT / "requirements.lock").read_text(), re.MULTILINE
        )
        self._constraints = folder / "constraints.txt"
        self._constraints.write_text("\n".join(locked))

    def programs(self, install: str) -> Path:
        """Return the folder of the programs of an environment in which `pip install` was run with these arguments."""
        if install not in self._made:
            environment = self._folder / f"environment-{len(self._made)}"
            _run(sys.executable, "-m", "venv", str(environment))
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


def _run(*command: str) -> None:
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, f"{shlex.join(command)}\n{finished.stdout}{finished.stderr}"
