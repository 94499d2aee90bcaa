"""`server-jobs worker` on a cluster whose primary's host cannot be reached any more."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.faults.conftest import IS_LONG, Figure
from tests.faults.databases.test_failover import fail_over, nothing
from tests.postgres_cluster import streaming_cluster
from tests.routed_hosts import Host, RoutedHosts, routed_hosts

FAULTS: dict[str, Callable[[RoutedHosts, Host], None]] = {
    "packets lost": RoutedHosts.lose_packets,
    "answers lost": RoutedHosts.lose_answers,
    "packets refused": RoutedHosts.refuse_packets,
}

if IS_LONG:

    @pytest.mark.parametrize("fault", FAULTS)
    def test_a_primary_that_the_network_leads_to_no_more_is_left(figure: Figure, fault: str) -> None:
        with routed_hosts(2) as routed, streaming_cluster(places=routed.hosts) as cluster:
            fail_over(cluster, cluster.url(), lambda: FAULTS[fault](routed, routed.hosts[0]), nothing, figure)
