"""The programs that may set up an environment: the oldest pip, the newest pip and uv, each alone."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Python 3.11.0 brings it.
OLDEST_PIP = "pip==22.3 --hash=sha256:1daab4b8d3b97d1d763caeb01a4640a2250a0ea899e257b1e44b9eded91e15ab\n"
NAMES = ("oldest pip", "newest pip", "uv")


class Installer:
    """One installer, with an empty home and empty caches below `folder`."""

    def __init__(self, name: str, folder: Path) -> None:
        requirement = OLDEST_PIP if name == "oldest pip" else _locked(name.removeprefix("newest "))
        wheel = _download(requirement, folder)
        programs = folder / "programs"
        programs.mkdir()
        if name == "uv":
            shutil.unpack_archive(wheel, folder / "uv", "zip")
            (program,) = (folder / "uv").glob("*.data/scripts/uv")
            program.chmod(0o755)
            (programs / "uv").symlink_to(program)
        self._path = os.pathsep.join([str(programs), *_path_without_uv()])
        self._python = _python(programs / "python-with-pip", None if name == "uv" else wheel)
        self._home = folder / "home"
        self._home.mkdir()

    def make(self, target: str, folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        """Make a target of the Makefile in `folder`."""
        mine = {"PATH": self._path, "HOME": str(self._home), "XDG_CACHE_HOME": str(self._home / ".cache")}
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("UV_", "PIP_CACHE", "MAKE"))}
        command = ["make", target, f"PYTHON={self._python}"]
        return subprocess.run(
            command, cwd=folder, env=kept | mine | environment, capture_output=True, text=True, check=False
        )


def _locked(name: str) -> str:
    """Return the requirement of a package in the lock of the release programs, with its hashes."""
    lock = (ROOT / "requirements-release.lock").read_text(encoding="utf-8")
    found = re.search(rf"^{name}==.*\n(?: +--hash=.*\n)+", lock, re.MULTILINE)
    assert found, f"{name} is not in requirements-release.lock; run `make lock`"
    return found[0]


def _download(requirement: str, folder: Path) -> Path:
    wanted, wheels = folder / "requirement.txt", folder / "wheels"
    wanted.write_text(requirement, encoding="utf-8")
    options = ("--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes", "--only-binary", ":all:")
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(wheels), "-r", str(wanted)]
    subprocess.run(command, check=True)
    (wheel,) = wheels.glob("*.whl")
    return wheel


def _path_without_uv() -> Sequence[str]:
    programs = sysconfig.get_path("scripts")
    folders = os.environ["PATH"].split(os.pathsep)
    return [one for one in folders if one != programs and shutil.which("uv", path=one) is None]


def _python(path: Path, pip: Path | None) -> Path:
    """Write a Python whose `-m venv` makes environments with this wheel of pip, or with its own pip."""
    python = Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}")
    lines = ["#!/bin/sh", "set -e"]
    if pip is not None:
        lines += [
            'if [ "$2" = venv ]; then',
            "  for folder; do :; done  # the last argument",
            f'  {python} -m venv --clear --without-pip "$folder"',
            f'  exec "$folder/bin/python" {pip}/pip install --quiet --no-index --no-cache-dir {pip}',
            "fi",
        ]
    path.write_text("\n".join([*lines, f'exec {python} "$@"', ""]), encoding="utf-8")
    path.chmod(0o755)
    return path
