"""`server-jobs worker` on a Patroni cluster, through HAProxy and with every server in the URL."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator

import pytest

from tests.faults.conftest import IS_LONG, Figure
from tests.faults.databases.test_failover import AIM, Enqueuer, completed, create_tables, wait, working
from tests.patroni_cluster import Member, PatroniCluster, patroni_cluster

FAULTS: dict[str, Callable[[Member], None]] = {
    "killed": lambda member: member.send(signal.SIGKILL),
    "hangs": lambda member: member.send(signal.SIGSTOP),
    "switchover": lambda member: member.switch_over(),
}


@pytest.fixture
def cluster() -> Iterator[PatroniCluster]:
    with patroni_cluster() as cluster:
        yield cluster


if IS_LONG:

    @pytest.mark.parametrize("way", ["direct", "proxied"])
    @pytest.mark.parametrize("fault", FAULTS)
    def test_jobs_run_on_after_a_fail_over_of_patroni(
        cluster: PatroniCluster, figure: Figure, fault: str, way: str
    ) -> None:
        url = cluster.proxied_url if way == "proxied" else cluster.direct_url
        old = cluster.primary()
        create_tables(old.node)
        with Enqueuer(url) as enqueuer, working(url) as worker:
            wait(lambda: completed(old.node) >= 20, "for the first jobs", worker)
            FAULTS[fault](old)
            new = cluster.primary(other_than=old)
            promoted = time.monotonic()
            ((moment,),) = new.node.execute("SELECT clock_timestamp()::text")
            wait(lambda: completed(new.node, str(moment)) > 0, "for a job after the promotion", worker)
            took = time.monotonic() - promoted
            wait(lambda: completed(new.node, str(moment)) >= 20, "for more jobs", worker)
            enqueuer.__exit__()
            open_jobs = "SELECT count(*) FROM jobs WHERE status <> 'completed'"
            wait(lambda: new.node.execute(open_jobs) == [(0,)], "to end", worker)
            worker.signal(signal.SIGTERM)
            assert worker.wait() == 0
        stored = {str(row[0]) for row in new.node.execute("SELECT id FROM jobs")}
        lost = [job_id for job_id in enqueuer.acknowledged if job_id not in stored]
        figure(
            f"Patroni, {fault}, {way}: first job {took:.1f} s after the promotion; "
            f"{len(enqueuer.acknowledged)} acknowledged, {len(lost)} lost, {enqueuer.refused} refused; "
            f"the longest `later` took {enqueuer.longest:.1f} s"
        )
        assert lost == []
        assert took < AIM
