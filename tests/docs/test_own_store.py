"""The store of the README passes the suite of the installed package, far from this repository."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
IS_LONG = bool(os.environ.get("SERVER_JOBS_LONG_TESTS"))
SUITE = "server_jobs.testing.conformance"
# All files in the long form: where files are flushed to a slow disk, each test takes half a second.
FILES = ("",) if IS_LONG else (".test_fencing",)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the README's store, and the wheel of this repository installed in it."""
    folder = tmp_path_factory.mktemp("outside")
    (example,) = re.findall(r"^```python my_store.py\n(.*?)^```$", readme(), re.MULTILINE | re.DOTALL)
    (folder / "my_store.py").write_text(example, encoding="utf-8")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    options = ("--quiet", "--no-deps", "--no-index", "--target", str(folder / "site"))
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(wheel)], check=True, capture_output=True)
    return folder


def readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


def run_suite(folder: Path, *files: str, store: str = "my_store") -> subprocess.CompletedProcess[str]:
    """What the README says to run, for some files of the suite."""
    modules = [f"{SUITE}{name}" for name in files]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--pyargs", *modules, "-p", store]
    environment = os.environ | {"PYTHONPATH": str(folder / "site")}
    if Path("/dev/shm").is_dir():
        environment |= {"TMPDIR": "/dev/shm"}  # files that nobody flushes
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_it_is_short_and_passes(folder: Path) -> None:
    done = run_suite(folder, *FILES)

    assert f"--pyargs {SUITE} -p my_store" in readme()
    assert len((folder / "my_store.py").read_text(encoding="utf-8").splitlines()) < 60
    assert done.returncode == 0, done.stdout
    assert int(re.findall(r"(\d+) passed", done.stdout)[0]) >= (290 if IS_LONG else 5)
    assert "skipped" not in done.stdout


def test_the_suite_has_every_file_that_is_about_all_stores(folder: Path) -> None:
    shipped = {path.name for path in (folder / f"site/{SUITE.replace('.', '/')}").glob("test_*.py")}
    imports = f"from {SUITE}.examples import"
    of_all_stores = {
        path.name for path in (ROOT / "tests/conformance").glob("test_*.py") if imports in path.read_text()
    }

    assert shipped == of_all_stores
    assert len(shipped) >= 14


def test_a_store_that_ignores_the_token_of_a_claim_fails(folder: Path) -> None:
    sabotaged = (folder / "my_store.py").read_text(encoding="utf-8")
    old = "connection.execute(call.sql, values)"
    new = 'connection.execute(call.sql.replace("fencing_token = ", "1 OR fencing_token = "), values)'
    assert sabotaged.count(old) == 1
    (folder / "careless.py").write_text(sabotaged.replace(old, new), encoding="utf-8")
    done = run_suite(folder, ".test_fencing", store="careless")
    assert done.returncode == 1
    assert " failed" in done.stdout
