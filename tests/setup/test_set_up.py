"""Set-up from a lock, with the oldest pip, the newest pip and uv. `make test-setup` runs it."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .installers import NAMES, ROOT, Installer
from .small_index import Release, lock_of, small_index

TARGET = ".venv-release/.ready"
# As lightkube requires httpx2: with extras, and a newer release came after the lock.
CLIENT = Release("client", "1.0", ("server[fast,tls]>=1.0",))
SERVER = Release("server", "1.0", ("fast>=1.0; extra == 'fast'", "tls>=1.0; extra == 'tls'"), ("fast", "tls"))
NEWER = Release("server", "2.0", SERVER.requires, SERVER.extras)
FAST, TLS = Release("fast", "1.0"), Release("tls", "1.0")
INDEX = (CLIENT, SERVER, NEWER, FAST, TLS)


@pytest.fixture(scope="module", params=NAMES)
def installer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Installer:
    return Installer(request.param, tmp_path_factory.mktemp("installer"))


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Path]:
    """Yield a folder with this Makefile and a small lock."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    lock(tmp_path, CLIENT, SERVER, FAST, TLS)
    yield tmp_path
    shutil.rmtree(tmp_path / ".venv-release", ignore_errors=True)


def lock(checkout: Path, *releases: Release) -> None:
    (checkout / "requirements-release.lock").write_text(lock_of(releases), encoding="utf-8")


def version(checkout: Path, module: str) -> str:
    command = [str(checkout / ".venv-release/bin/python"), "-c", f"import {module}; print({module}.VERSION)"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_a_release_after_the_lock_changes_nothing(installer: Installer, checkout: Path) -> None:
    with small_index(INDEX) as variables:
        done = installer.make(TARGET, checkout, dict(variables))
    assert done.returncode == 0, done.stdout + done.stderr
    assert version(checkout, "server") == "1.0"


def test_a_lock_that_lacks_a_requirement_is_refused(installer: Installer, checkout: Path) -> None:
    lock(checkout, CLIENT)
    with small_index(INDEX) as variables:
        done = installer.make(TARGET, checkout, dict(variables))
    assert done.returncode == 2
    assert "requirements-release.lock is not complete; run 'make lock'" in done.stderr
    assert "client 1.0 requires server, which is not installed" in done.stderr


def test_what_is_wrong_with_a_lock_is_shown(installer: Installer, checkout: Path) -> None:
    path = checkout / "requirements-release.lock"
    path.write_text(re.sub("sha256:.", "sha256:f", path.read_text("utf-8")), encoding="utf-8")
    with small_index(INDEX) as variables:
        done = installer.make(TARGET, checkout, dict(variables))
    assert done.returncode == 2
    _, of_uv, of_pip, advice = re.split("uv cannot .*|pip cannot .*|Both need", done.stderr)
    assert "uv: command not found" in of_uv or "Hash mismatch" in of_uv
    assert "DO NOT MATCH THE HASHES" in of_pip
    assert "run 'make lock'" in advice
    assert not (checkout / TARGET).exists()


def test_sabotage_a_set_up_that_resolves_again_breaks_at_the_next_release(tmp_path: Path, checkout: Path) -> None:
    oldest = Installer(NAMES[0], tmp_path)
    makefile = checkout / "Makefile"
    makefile.write_text(makefile.read_text("utf-8").replace("--no-deps --require-hashes", "--require-hashes"), "utf-8")
    with small_index(INDEX) as variables:
        done = oldest.make(TARGET, checkout, dict(variables))
    assert done.returncode == 2
    assert "In --require-hashes mode, all requirements must have their versions pinned with ==" in done.stderr


def test_this_repository_is_set_up_in_an_empty_environment(installer: Installer, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    try:
        done = installer.make("setup", ROOT, {"MAKEFLAGS": f"VENV={environment}"})
        assert done.returncode == 0, done.stdout + done.stderr
        program = [str(environment / "bin/server-jobs"), "check"]
        checked = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr
    finally:
        shutil.rmtree(environment, ignore_errors=True)
