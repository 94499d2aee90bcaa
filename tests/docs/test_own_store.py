"""The store of the documentation passes the suite of the installed package, outside this repository."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from .pages import ROOT, block

pytestmark = pytest.mark.slow
PAGE = ROOT / "docs/how-to/write-a-store.md"
IS_LONG = bool(os.environ.get("SERVER_JOBS_LONG_TESTS"))
SUITE = "server_jobs.testing.conformance"
# All files only in the long form: on a slow disk, each test takes half a second.
FILES = ("",) if IS_LONG else (".suite.test_leases",)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the store of the page and the installed wheel of this repository."""
    folder = tmp_path_factory.mktemp("outside")
    (folder / "my_store.py").write_text(block(PAGE, "python", "my_store.py"), encoding="utf-8")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    options = ("--quiet", "--no-deps", "--no-index", "--target", str(folder / "site"))
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(wheel)], check=True, capture_output=True)
    return folder


def run_suite(folder: Path, *files: str, store: str = "my_store", option: str = "-q") -> CompletedProcess[str]:
    """Run the command of the page, for some files of the suite."""
    modules = [f"{SUITE}{name}" for name in files]
    command = [sys.executable, "-m", "pytest", option, "-p", "no:cacheprovider", "--pyargs", *modules, "-p", store]
    environment = os.environ | {"PYTHONPATH": str(folder / "site")}
    if Path("/dev/shm").is_dir():
        environment |= {"TMPDIR": "/dev/shm"}  # files that are never flushed
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_it_is_short_and_passes(folder: Path) -> None:
    done = run_suite(folder, *FILES)

    assert f"--pyargs {SUITE} -p my_store" in block(PAGE, "sh")
    assert len((folder / "my_store.py").read_text(encoding="utf-8").splitlines()) < 60
    assert done.returncode == 0, done.stdout
    assert int(re.findall(r"(\d+) passed", done.stdout)[0]) >= (290 if IS_LONG else 5)
    assert "skipped" not in done.stdout


def test_every_file_of_it_is_found_where_the_other_tests_are_not(folder: Path) -> None:
    found = run_suite(folder, "", option="--collect-only")

    assert found.returncode == 0, found.stdout


def test_the_suite_has_every_file_that_is_about_all_stores(folder: Path) -> None:
    shipped = {path.name for path in (folder / f"site/{SUITE.replace('.', '/')}/suite").glob("test_*.py")}
    imports = f"from {SUITE}.examples import"
    of_all_stores = {
        path.name for path in (ROOT / "tests/conformance").rglob("test_*.py") if imports in path.read_text()
    }

    assert shipped == of_all_stores
    assert len(shipped) >= 14


def test_a_store_that_ignores_the_token_of_a_claim_fails(folder: Path) -> None:
    sabotaged = (folder / "my_store.py").read_text(encoding="utf-8")
    old = "connection.execute(call.sql, values)"
    new = 'connection.execute(call.sql.replace("fencing_token = ", "1 OR fencing_token = "), values)'
    assert sabotaged.count(old) == 1
    (folder / "careless.py").write_text(sabotaged.replace(old, new), encoding="utf-8")
    done = run_suite(folder, ".suite.test_leases", store="careless")
    assert done.returncode == 1
    assert " failed" in done.stdout
