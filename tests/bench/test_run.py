"""The harness of `make bench`, with few jobs: it writes its measurements, and notices wrong results."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.postgres import postgres_url

ROOT = Path(__file__).parents[2]
JOBS = 200
# In the long form, each store with each kind of worker. A subject of ours takes seconds to set up.
IS_LONG = "SERVER_JOBS_LONG_TESTS" in os.environ
EVERY_KIND: tuple[str, ...] = ("server-jobs:sqlite", "bare:sqlite-100")
if IS_LONG:
    ours = ("postgresql", "postgresql-library", "sqlite-library", "memory")
    EVERY_KIND = (*EVERY_KIND, *(f"server-jobs:{kind}" for kind in ours))


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run of the benchmark."""

    status: int
    errors: str
    folder: Path

    def subjects(self) -> dict[str, Any]:
        """Return the entry of each subject in `results.json`."""
        return dict(json.loads((self.folder / "results.json").read_text())["subjects"])

    def worst(self, subject: str) -> dict[str, int]:
        """Return the largest count of each kind over all drains of a subject."""
        drains = [drain for phase in self.subjects()[subject]["exactness"].values() for drain in phase]
        return {kind: max(drain[kind] for drain in drains) for kind in ("twice", "never", "unfinished", "lost")}


def run_bench(folder: Path, *arguments: str) -> Run:
    """Run `python -m bench` once, with few jobs."""
    few = ("-r", "1", "-n", str(JOBS), "--ones", "20", "--finished", "300", "--limit", "20")
    finished = subprocess.run(
        [sys.executable, "-m", "bench", *few, *arguments, "--output", str(folder)],
        cwd=ROOT,
        env={**os.environ, "SERVER_JOBS_BENCH_POSTGRES_URL": postgres_url()},
        capture_output=True,
        text=True,
        check=False,
    )
    return Run(finished.returncode, finished.stderr, folder)


# Runs of the bare driver are the short form of those of a project.
@pytest.mark.slow
def test_a_short_run_is_exact_and_writes_its_measurements(tmp_path: Path) -> None:
    run = run_bench(tmp_path, *EVERY_KIND, "--phases", "drain1")

    assert run.status == 0, run.errors
    for subject in EVERY_KIND:
        assert run.worst(subject) == {"twice": 0, "never": 0, "unfinished": 0, "lost": 0}
        assert run.subjects()[subject]["measures"]["drain 1"][0] > 0
    assert run.subjects()["server-jobs:sqlite"]["about"]["worker"] == ["server-jobs", "worker"]
    assert_that_targets_and_pictures_are_there(run)
    assert_that_nothing_says_whose_machine_it_was(run)


def assert_that_targets_and_pictures_are_there(run: Run) -> None:
    page = (run.folder / "results.md").read_text()
    assert re.search(r"bare driver in batches of 100 \| at least 0.42 x \| [0-9.]+ x \| .*met", page)
    assert "](drain-sqlite.svg)" in page
    picture = ElementTree.parse(run.folder / "drain-sqlite.svg").getroot()
    assert {"server-jobs:sqlite", "bare:sqlite-100"} <= set(picture.itertext())


def assert_that_nothing_says_whose_machine_it_was(run: Run) -> None:
    written = "".join(path.read_text() for path in run.folder.iterdir())
    for folder in (str(ROOT), sys.prefix, str(run.folder)):
        assert folder not in written


if IS_LONG:

    def test_limits_and_a_long_drain_are_measured(tmp_path: Path) -> None:
        subjects = ("server-jobs:sqlite", "server-jobs:sqlite-limited")

        run = run_bench(tmp_path, *subjects, "--phases", "limited,long", "--long", "300")

        assert run.status == 0, run.errors
        measured = {name for subject in subjects for name in run.subjects()[subject]["measures"]}
        assert {"drain, no limits", "drain, rate by key", "last tenth against first", "peak memory"} <= measured


# The bare driver starts in a tenth of a project's time, and each measurement starts several processes.
@pytest.mark.slow
@pytest.mark.parametrize("subject", ["bare:sqlite-100", *(["server-jobs:sqlite"] if IS_LONG else [])])
def test_large_params_are_measured(tmp_path: Path, subject: str) -> None:
    run = run_bench(tmp_path, subject, "--phases", "large", "--large", "2")

    assert run.status == 0, run.errors
    assert {"large, one", "large, bulk", "large, drain"} <= {*run.subjects()[subject]["measures"]}


@pytest.mark.slow
def test_lost_repeated_or_remaining_jobs_fail_the_run(tmp_path: Path) -> None:
    faults = ("lost", "twice", "never", "unfinished")
    subjects = [f"tests.bench.unreliable:{fault}" for fault in faults]

    run = run_bench(tmp_path, *subjects, "--phases", "drain2", "--limit", "1")

    assert run.status == 1
    for fault, subject in zip(faults, subjects, strict=True):
        assert run.worst(subject) == {**dict.fromkeys(faults, 0), fault: 1}, fault


@pytest.mark.slow
def test_a_subject_that_cannot_be_loaded_is_left_out_with_its_reason(tmp_path: Path) -> None:
    run = run_bench(tmp_path, "tests.bench.nothing", "bare:sqlite-1", "--phases", "one")

    left_out = json.loads((run.folder / "results.json").read_text())["left_out"]
    assert "No module named 'tests.bench.nothing'" in left_out["tests.bench.nothing"]
    assert "one" in run.subjects()["bare:sqlite-1"]["measures"]
