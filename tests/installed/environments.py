"""Environments, each with the wheel of this checkout and the extras of a `pip install` in the docs.

An environment is a copy of one with fewer packages, because a whole installation takes ten seconds. All processes of a
test run share them.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from filelock import FileLock

ROOT = Path(__file__).parents[2]
# `make release-check` installs the wheel to be released on each Python.
PYTHON = os.environ.get("SERVER_JOBS_INSTALLED_PYTHON", sys.executable)
WHEEL = os.environ.get("SERVER_JOBS_INSTALLED_WHEEL", "")
NEWER_VERSIONS = ("3.13", "3.12", "3.14")
EXTRAS = re.compile(r"^server-jobs(\[[\w,]+\])?$")


class Environments:
    """Environments in `folder`, created at first use by any process."""

    def __init__(self, folder: Path, wheel: str = WHEEL, python: str = PYTHON) -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self._python = python
        self._constraints = folder / "constraints.txt"
        with FileLock(folder / "wheel.lock"):
            self._wheel = Path(wheel) if wheel else _built_wheel(folder / "wheel")
            if not self._constraints.exists():
                self._constraints.write_text("\n".join(_locked()))

    def programs(self, *installs: str) -> Path:
        """Return the folder of the programs in an environment after each `pip install` with these arguments, in order.

        The packages that every installation of `server-jobs` needs are there before.
        """
        # Short, because some systems limit the path of the interpreter in the first line of a script.
        installs = tuple(shlex.join(shlex.split(install)) for install in installs)
        environment = self._folder / hashlib.sha256("\n".join(installs).encode()).hexdigest()[:12]
        finished = environment.with_suffix(".txt")
        with FileLock(environment.with_suffix(".lock")):
            if not finished.exists():
                shutil.rmtree(environment, ignore_errors=True)
                self._make(environment, installs)
                finished.write_text("\n".join(installs))
        return environment / "bin"

    def _make(self, environment: Path, installs: tuple[str, ...]) -> None:
        if installs:
            _copy(self.programs(*installs[:-1]).parent, environment)
        else:
            _run(self._python, "-m", "venv", "--without-pip", str(environment))
        last = installs[-1] if installs else "server-jobs"
        packages = [EXTRAS.sub(rf"{self._wheel}\1", package) for package in shlex.split(last)]
        _install(environment / "bin" / "python", "--constraint", str(self._constraints), *packages)
        if not installs:  # the other environments copy the bytecode too
            _run(str(environment / "bin" / "python"), "-m", "compileall", "-q", str(environment / "lib"))


def _install(python: Path, *arguments: str) -> None:
    """Install into an environment, with uv if this machine has it, which takes a sixth of pip's time."""
    uv = shutil.which("uv")
    if uv is not None:
        command = (uv, "pip", "install", "--quiet", "--python", str(python), *arguments)
        if subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == 0:
            return
    # The pip of these tests installs into all environments.
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    _run(*pip, "--python", str(python), "install", "--no-compile", *arguments)


def _copy(source: Path, target: Path) -> None:
    """Copy an environment. Both share their files in `lib`: pip and Python replace files, and never change them."""
    shutil.copytree(source, target, symlinks=True, copy_function=os.link)
    for path in (target / "bin").iterdir():
        if not path.is_symlink():
            mode, text = path.stat().st_mode, path.read_bytes().replace(os.fsencode(source), os.fsencode(target))
            path.unlink()
            path.write_bytes(text)
            path.chmod(mode)


def _built_wheel(folder: Path) -> Path:
    if not list(folder.glob("*.whl")):
        _run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder))
    (wheel,) = folder.glob("*.whl")
    return wheel


def _locked() -> list[str]:
    """Return the locked versions, so that new releases of other packages do not fail these tests."""
    lock = (ROOT / "requirements.lock").read_text()
    return re.findall(r"^([\w.-]+==[^\s\\]+(?: *;[^\\\n]+)?)", lock, re.MULTILINE)


def _run(*command: str) -> None:
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, f"{shlex.join(command)}\n{finished.stdout}{finished.stderr}"


def newer_python() -> str:
    """Return a Python for Django 6. Fails if this machine has none."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    path = os.pathsep.join([*map(str, versions.glob("*/bin")), os.environ["PATH"]])
    found = (shutil.which(f"python{version}", path=path) for version in NEWER_VERSIONS)
    return next(python for python in found if python)
