"""A network between workers and their database that fails silently or with a reset."""

from __future__ import annotations

import random
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest

from tests.faults.conftest import IS_LONG, Figure
from tests.faults.jobs import Nap
from tests.faults.oracle import judge
from tests.faults.plans import ProxyPlan
from tests.faults.processes import Nursery, Process
from tests.faults.site import Site, open_site
from tests.seeds import chosen_seed

JOBS = 4
LEASE = 1.0
NAP = 4.0
BROKEN_JOBS, BREAKS = (5000, 50) if IS_LONG else (400, 6)


@pytest.fixture
def postgres_site(tmp_path: Path, nursery: Nursery) -> Iterator[Site]:
    """Yield a new PostgreSQL database with empty tables and a history."""
    with open_site("postgresql", tmp_path, nursery) as site:
        yield site


def through_proxy(site: Site) -> tuple[ProxyPlan, str]:
    """Return the plan of a proxy to the server of the site, and the URL of the database through it."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = int(listener.getsockname()[1])
    parts = urlsplit(site.url)
    plan = ProxyPlan(port=port, host=parts.hostname or "", target=parts.port or 5432)
    return plan, urlunsplit(parts._replace(netloc=f"{parts.username}@127.0.0.1:{port}"))


def start_proxy(site: Site, plan: ProxyPlan) -> Process:
    """Start the proxy, and wait until it accepts connections."""
    proxy = site.start(plan)
    site.wait(lambda: takes_connections(plan.port))
    return proxy


def takes_connections(port: int) -> bool:
    """Return whether a server listens at the port."""
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.mark.slow
def test_a_worker_that_is_cut_off_stops_its_jobs_when_their_leases_are_over(
    postgres_site: Site, figure: Figure
) -> None:
    site = postgres_site
    job_ids = site.enqueue([Nap(seconds=NAP)] * JOBS)
    plan, url = through_proxy(site)
    proxy = start_proxy(site, plan)
    lonely = site.start(site.worker_plan(url=url, lease=LEASE))
    site.wait(lambda: len(site.notes()) == JOBS)
    began = time.monotonic()
    proxy.send(signal.SIGSTOP)
    site.wait(lambda: sum(note.event == "failure" for note in site.notes()) == JOBS)
    stopped = time.monotonic() - began
    other = site.start(site.worker_plan())
    site.wait(lambda: len([note for note in site.notes() if note.event == "begin"]) == 2 * JOBS)
    proxy.send(signal.SIGCONT)
    site.wait(lambda: site.finished() == JOBS)
    site.stop(lonely, other)

    verdict = judge(site, job_ids)
    figure(f"cut off with leases of {LEASE:g} s: its jobs were stopped after {stopped:.1f} s, lost {len(verdict.lost)}")
    verdict.check()
    assert stopped < NAP - 1, "its handlers ran to their end"


@pytest.mark.slow
def test_connections_that_break_under_load_lose_nothing(postgres_site: Site, figure: Figure) -> None:
    site, seed = postgres_site, chosen_seed()
    chance = random.Random(seed)
    job_ids = site.enqueue([Nap(seconds=0.01)] * BROKEN_JOBS)
    plan, url = through_proxy(site)
    proxy = start_proxy(site, plan)
    workers = [site.start(site.worker_plan(url=url)) for _ in range(2)]
    site.wait(lambda: len({note.process for note in site.notes()}) == len(workers))  # both can end normally
    for number in range(BREAKS):
        site.wait(lambda goal=BROKEN_JOBS * 0.9 * (number + 0.5) / BREAKS: site.finished() >= goal)  # type: ignore[misc]
        time.sleep(chance.uniform(0, 0.02))
        proxy.kill()
        proxy = site.start(plan)
    site.wait(lambda: site.finished() == BROKEN_JOBS)
    site.stop(*workers)

    verdict = judge(site, job_ids)
    again = sum(int(str(count)) > 1 for count in site.column("attempt_count").values())
    figure(
        f"{BROKEN_JOBS:,} jobs, all connections broken {BREAKS} times, seed {seed}: lost {len(verdict.lost)}, "
        f"illegal transitions {len(verdict.illegal)}, stale results {verdict.stale_results}, "
        f"results believed stored and not {len(verdict.lies)}, run again {again}"
    )
    verdict.check()
