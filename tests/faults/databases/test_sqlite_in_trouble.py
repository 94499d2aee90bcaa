"""A SQLite file that is locked, full or read-only under a running worker: it logs that once, waits, and continues."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.faults.conftest import IS_LONG, Figure
from tests.faults.jobs import Nap
from tests.faults.oracle import judge
from tests.faults.outage import most_repeated
from tests.faults.processes import Nursery, Process
from tests.faults.site import Site, open_site
from tests.slow import slow

TROUBLE = 3.0 if IS_LONG else 1.2
"""Seconds of trouble: longer than the leases."""

JOBS = 150
NAPS = [Nap(seconds=0.02 if number % 10 else 0.4, padding="x" * 4000) for number in range(JOBS)]
"""Together they exceed the size of files on the full disk."""


def suffer(site: Site) -> int:
    """Let the trouble last while no job may end. Return how often a worker repeated one line."""
    time.sleep(0.1)
    before, said = site.finished(), len(site.log())  # while it begins, a read may still work, and say that all is well
    time.sleep(TROUBLE)
    assert site.finished() == before
    return most_repeated(site.log()[said:])


def outlast(site: Site, job_ids: list[str], workers: list[Process], what: str, said: int, figure: Figure) -> None:
    """Wait for the end of all jobs, and check the site."""
    site.wait(lambda: site.finished() == JOBS)
    assert all(worker.is_alive() for worker in workers)
    site.stop(*workers)
    verdict = judge(site, job_ids)
    figure(
        f"{what} for {TROUBLE:g} s under {len(workers)} workers: lost {len(verdict.lost)}, "
        f"illegal transitions {len(verdict.illegal)}, stale results {verdict.stale_results}, "
        f"times that one worker said one thing: at most {said}"
    )
    verdict.check()
    assert said <= 1, "\n".join(site.log())
    assert site.query("PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize("busy_timeout", [slow(None), 0.2], ids=["patient", "impatient"])
def test_workers_outlast_a_lock_of_another_process(
    sqlite_site: Site, busy_timeout: float | None, figure: Figure
) -> None:
    site = sqlite_site
    job_ids = site.enqueue(NAPS)
    workers = [site.start(site.worker_plan(busy_timeout=busy_timeout)) for _ in range(2)]
    site.wait(lambda: site.finished() >= 20)
    with closing(sqlite3.connect(site.path, timeout=30, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        said = suffer(site)
        holder.execute("ROLLBACK")

    outlast(site, job_ids, workers, f"locked, busy timeout {busy_timeout or 'as usual'},", said, figure)
    if busy_timeout is not None:
        assert any("locked" in line for line in site.log()), site.log()


@pytest.mark.parametrize(("trouble", "said_of_it"), [("full disk", "disk"), slow("read-only", "readonly")])
def test_workers_outlast_a_database_that_cannot_be_written(
    sqlite_site: Site, trouble: str, said_of_it: str, figure: Figure
) -> None:
    site = sqlite_site
    job_ids = site.enqueue(NAPS)
    workers = [site.start(site.worker_plan(trouble=trouble)) for _ in range(2)]
    site.wait(lambda: site.finished() >= 20)
    for worker in workers:
        worker.send(signal.SIGUSR1)
    pids = {str(worker.pid) for worker in workers}
    site.wait(lambda: {line.split()[0] for line in site.log() if said_of_it in line} >= pids)
    said = suffer(site)
    for worker in workers:
        worker.send(signal.SIGUSR1)

    outlast(site, job_ids, workers, trouble, said, figure)


@pytest.fixture
def unprivileged_site(nursery: Nursery) -> Iterator[Site]:
    """Yield a SQLite file in a folder that every user of the machine can reach."""
    folder = Path(tempfile.mkdtemp(prefix="server-jobs-faults-"))
    folder.chmod(0o755)
    with open_site("sqlite", folder, nursery) as site:
        yield site
    folder.chmod(0o755)
    shutil.rmtree(folder)


def test_a_worker_that_may_not_write_says_so_once_and_changes_nothing(unprivileged_site: Site, tmp_path: Path) -> None:
    site, log = unprivileged_site, tmp_path / "log"
    job_ids = site.enqueue(NAPS)
    before = site.history()
    for path in (*site.folder.iterdir(), site.folder):
        path.chmod(0o555 if path.is_dir() else 0o444)
    nobody = 65534 if os.geteuid() == 0 else None  # root may write with any mode.
    unable = site.start(site.worker_plan(user=nobody, log=str(log), notes=os.devnull))
    site.wait(lambda: log.exists() and str(site.path) in log.read_text(encoding="utf-8"))
    time.sleep(0.5)
    site.stop(unable)

    assert "readonly" in log.read_text(encoding="utf-8")
    assert most_repeated(log.read_text(encoding="utf-8").splitlines()) == 1
    assert site.history() == before
    for path in (site.folder, *site.folder.iterdir()):
        path.chmod(0o755 if path.is_dir() else 0o644)
    worker = site.start(site.worker_plan())
    site.wait(lambda: site.finished() == JOBS)
    site.stop(worker)
    judge(site, job_ids).check()
