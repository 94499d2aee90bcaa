"""PostgreSQL crashes repeatedly under load: the workers wait for it, and no job is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import IS_LONG, Figure
from tests.faults.jobs import Nap
from tests.faults.oracle import judge
from tests.faults.outage import most_repeated
from tests.faults.processes import Nursery
from tests.faults.site import Site, create_tables, keep_history
from tests.postgres import ThrowAwayServer

JOBS, CRASHES = (4000, 5) if IS_LONG else (300, 2)


@pytest.fixture
def server() -> Iterator[ThrowAwayServer]:
    """Yield a PostgreSQL server for this test alone, in the long form as durable as a user's."""
    server = ThrowAwayServer(fsync=IS_LONG)
    server.start()
    yield server
    server.remove()


@pytest.fixture
def crashing_site(server: ThrowAwayServer, tmp_path: Path, nursery: Nursery) -> Iterator[Site]:
    """Yield a site on that server."""
    create_tables(server.url)
    site = Site(server.url, tmp_path, nursery)
    keep_history(site)
    yield site
    site.close()


def test_workers_outlive_a_postgresql_that_is_stopped_at_once_again_and_again(
    server: ThrowAwayServer, crashing_site: Site, figure: Figure
) -> None:
    site = crashing_site
    job_ids = site.enqueue([Nap(seconds=0.1 if number % 9 == 0 else 0.03) for number in range(JOBS)])
    plan = site.worker_plan(lease=1.5)
    workers = [site.start(plan) for _ in range(3)]
    for number in range(CRASHES):
        site.wait(lambda goal=JOBS * 0.8 * (number + 0.5) / CRASHES: site.finished() >= goal)  # type: ignore[misc]
        server.stop_at_once()
        server.start()
    site.wait(lambda: site.finished() == JOBS)
    assert all(worker.is_alive() for worker in workers)
    site.stop(*workers)

    verdict = judge(site, job_ids)
    said = most_repeated(site.log())
    again = sum(int(str(count)) > 1 for count in site.column("attempt_count").values())
    figure(
        f"{JOBS:,} jobs, PostgreSQL stopped -m immediate {CRASHES} times: lost {len(verdict.lost)}, "
        f"illegal transitions {len(verdict.illegal)}, stale results {verdict.stale_results}, "
        f"results believed stored and not {len(verdict.lies)}, run again {again}, "
        f"times that one worker said one thing: at most {said}"
    )
    verdict.check()
    assert 1 <= said <= CRASHES
