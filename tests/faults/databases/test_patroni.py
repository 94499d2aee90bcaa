"""`server-jobs worker` on the cluster of `examples/postgres-ha`, through its poolers and with every server named."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

import psycopg
import pytest

from tests.cli.shop import run
from tests.cli.started import Started
from tests.faults import noted_jobs
from tests.faults.conftest import IS_LONG, Figure
from tests.faults.databases.test_failover import AIM, Enqueuer, working
from tests.faults.noted_jobs import Direct, Nothing, Pooled
from tests.faults.site import create_tables
from tests.patroni_cluster import PatroniCluster, patroni_cluster
from tests.patroni_member import Member

TIMES = 10 if IS_LONG else 1
SHORT = ("killed", "switchover")
"""The faults of the short form."""
STORM = 3.0
"""Seconds of load before each fault, and after the promotion."""
PATIENCE = 90.0
"""Seconds in which every job must end. More than a lease, because a worker may not learn that its claim was stored."""
SEPARATED = 1.5
TASKS = 4

Fault = tuple[Callable[[PatroniCluster, Member], None], Callable[[PatroniCluster, Member], None]]
"""It happens to the primary, and is repaired."""


def separate_and_kill(cluster: PatroniCluster, member: Member) -> None:
    """Let a primary that clients still reach commit what no standby gets, and kill it."""
    cluster.network.separate(member.host, *cluster.standbys_of(member))
    time.sleep(SEPARATED)
    member.kill()


def start_and_join(cluster: PatroniCluster, member: Member) -> None:
    """Start it with its network."""
    cluster.network.join(member.host, *cluster.standbys_of(member))
    member.start()


FAULTS: dict[str, Fault] = {
    "killed": (lambda _, member: member.kill(), lambda _, member: member.start()),
    "stopped": (
        lambda _, member: member.send_to_server(signal.SIGSTOP),
        lambda _, member: member.send_to_server(signal.SIGCONT),
    ),
    "cut off": (
        lambda cluster, member: cluster.network.lose_packets(member.host),
        lambda cluster, member: cluster.network.deliver_packets(member.host),
    ),
    "separated and killed": (separate_and_kill, start_and_join),
    "switchover": (lambda _, member: member.switch_over(), lambda _, member: member.end_switchover()),
}
WAYS = {"direct": (noted_jobs.direct, Direct), "pooled": (noted_jobs.pooled, Pooled)}


@dataclass(frozen=True)
class Promotion:
    """The end of a promotion, on two clocks."""

    monotonic: float
    epoch: float


@pytest.fixture(scope="module")
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PatroniCluster]:
    """Yield a running cluster with our tables, and a file for the notes. The parameter False makes it asynchronous.

    The tests share it because its start takes longer than most of them. Each repairs what it breaks.
    """
    notes = tmp_path_factory.mktemp("cluster") / "notes"
    notes.touch()
    with (
        pytest.MonkeyPatch.context() as environment,
        patroni_cluster(synchronous=getattr(request, "param", True)) as cluster,
    ):
        environment.setenv(noted_jobs.NOTES, str(notes))
        create_tables(cluster.url_of(cluster.primary()))
        yield cluster


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS if IS_LONG else SHORT)
def test_jobs_run_on_after_a_fail_over_of_patroni(cluster: PatroniCluster, figure: Figure, fault: str) -> None:
    with running_workers(cluster) as workers:
        for number in range(TIMES):
            enqueuers, promotion, seconds = fail_over(cluster, FAULTS[fault])
            for way, enqueuer in enqueuers.items():
                found = report(cluster, enqueuer, promotion, workers[way])
                figure(f"{fault} {number + 1}, {way}: promoted after {seconds:.1f} s; {found}")
        for worker in workers.values():
            worker.signal(signal.SIGTERM)
            assert worker.wait() == 0, worker.text[-4000:]


@pytest.mark.slow
def test_enqueues_go_on_while_a_standby_hangs(cluster: PatroniCluster, figure: Figure) -> None:
    primary = cluster.primary()
    one, _ = (member for member in cluster.members if member is not primary)
    with Enqueuer(cluster.direct_url, partial(Direct.later, Nothing()), noted_jobs.direct) as enqueuer:
        time.sleep(STORM)
        one.send_to_server(signal.SIGSTOP)
        time.sleep(AIM)
        one.send_to_server(signal.SIGCONT)
    figure(
        f"a standby hangs: {len(enqueuer.acknowledged)} acknowledged, the longest `later` took {enqueuer.longest:.1f} s"
    )
    assert enqueuer.refused == 0
    assert enqueuer.longest < AIM / 2


@pytest.mark.slow
def test_doctor_and_the_programs_accept_the_files(cluster: PatroniCluster) -> None:
    found = run(
        "doctor", "--project", "/", "--registry", f"{noted_jobs.__name__}:direct", "--database", cluster.pooled_url
    )
    assert "\nok    commits wait for a synchronous standby: ANY 1 (" in found.stdout

    member = cluster.members[0]
    member.change_config("synchronous_mode: quorum", "synchronous_mode: true")  # Patroni 4.0 does not know `quorum`
    member.check_files()

    member.change_config("ttl: 20", "ttl: soon")
    with pytest.raises(subprocess.CalledProcessError) as caught:
        member.check_files()
    assert "ttl soon" in caught.value.stderr


@pytest.mark.slow
@pytest.mark.parametrize("cluster", [False], indirect=True)
def test_without_synchronous_replication_a_fail_over_loses_jobs(cluster: PatroniCluster) -> None:
    with running_workers(cluster) as workers:
        enqueuers, promotion, _ = fail_over(cluster, FAULTS["separated and killed"])
        with pytest.raises(AssertionError, match=r"[1-9][0-9]* lost, 0 stuck"):
            report(cluster, enqueuers["direct"], promotion, workers["direct"])


@contextmanager
def running_workers(cluster: PatroniCluster) -> Iterator[dict[str, Started]]:
    """Yield a worker for each way, as commands."""
    with ExitStack() as stack:
        yield {
            way: stack.enter_context(working(url, "--concurrency", "10", "--registry", f"{noted_jobs.__name__}:{way}"))
            for way, url in urls_of(cluster).items()
        }


def urls_of(cluster: PatroniCluster) -> dict[str, str]:
    """Return the URL of each way."""
    return {"direct": cluster.direct_url, "pooled": cluster.pooled_url}


def fail_over(cluster: PatroniCluster, fault: Fault) -> tuple[dict[str, Enqueuer], Promotion, float]:
    """Let the primary fail under load, and repair it once another server is the primary.

    Return the enqueuers, and the seconds from the fault to the promotion.
    """
    happen, repair = fault
    urls = urls_of(cluster)
    cluster.wait_until_whole()
    old = cluster.primary()
    with ExitStack() as stack:
        enqueuers = {
            way: stack.enter_context(Enqueuer(urls[way], partial(job.later, Nothing()), registry, tasks=TASKS))
            for way, (registry, job) in WAYS.items()
        }
        time.sleep(STORM)
        began = time.monotonic()
        happen(cluster, old)
        cluster.primary(other_than=old)
        promotion = Promotion(time.monotonic(), time.time())
        time.sleep(AIM)
        repair(cluster, old)
        cluster.wait_until_whole()
        time.sleep(STORM)
    return enqueuers, promotion, promotion.monotonic - began


def report(cluster: PatroniCluster, enqueuer: Enqueuer, promotion: Promotion, worker: Started) -> str:
    """Wait for the end of every job, check them, and return the figures."""
    mine = list(enqueuer.acknowledged)
    with psycopg.connect(cluster.url_of(cluster.primary()), autocommit=True) as connection:
        deadline = time.monotonic() + PATIENCE
        unfinished = "SELECT count(*) FROM jobs WHERE id = ANY (%s) AND status <> 'completed'"
        while (stuck := count(connection, unfinished, mine)) and time.monotonic() < deadline:
            time.sleep(0.2)
        lost = len(mine) - count(connection, "SELECT count(*) FROM jobs WHERE id = ANY (%s)", mine)
        claimed = "SELECT id FROM jobs WHERE id = ANY (%s) AND worker_started_at > to_timestamp(%s)"
        rows = connection.execute(claimed, [mine, promotion.epoch]).fetchall()
    starts = noted_jobs.starts()
    doubled = sum(len(starts.get(job, ())) > 1 for job in mine)
    assert (lost, stuck) == (0, 0), f"{lost} lost, {stuck} stuck:\n{worker.text[-4000:]}"
    handler = min(moment for (job,) in rows for moment in starts[job] if moment > promotion.monotonic)
    enqueue = min(moment for moment in enqueuer.acknowledged.values() if moment > promotion.monotonic)
    assert handler - promotion.monotonic < AIM
    return (
        f"first handler {handler - promotion.monotonic:.1f} s and first enqueue "
        f"{enqueue - promotion.monotonic:.1f} s after the promotion; {len(mine):,} acknowledged, {lost} lost, "
        f"{doubled} doubled, {stuck} stuck; {enqueuer.refused} refused"
    )


def count(connection: psycopg.Connection[tuple[object, ...]], statement: str, jobs: list[str]) -> int:
    """Return the count of these jobs."""
    row = connection.execute(statement.encode(), [jobs]).fetchone()
    assert row is not None
    return int(str(row[0]))
