"""An application is killed at random points of its transactions: a job exists exactly if its order does."""

from __future__ import annotations

import random
import time

from tests.faults.conftest import IS_LONG, Figure
from tests.faults.plans import EnqueuerPlan
from tests.faults.site import Site
from tests.seeds import chosen_seed

KILLS = 500 if IS_LONG else 40
AT_ONCE = 4

# In one statement, because a commit of the killed application may still arrive.
ORPHANS = """
SELECT (SELECT count(*) FROM orders WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE params LIKE '%' || orders.id || '%')),
       (SELECT count(*) FROM jobs
         WHERE NOT EXISTS (SELECT 1 FROM orders WHERE jobs.params LIKE '%' || orders.id || '%')),
       (SELECT count(*) FROM orders), (SELECT count(*) FROM jobs)
"""


def test_a_job_exists_exactly_if_its_order_does_wherever_the_application_is_killed(site: Site, figure: Figure) -> None:
    seed = chosen_seed()
    chance = random.Random(seed)
    site.query("CREATE TABLE orders (id TEXT PRIMARY KEY)")
    running = [site.start(EnqueuerPlan(url=site.url)) for _ in range(AT_ONCE)]
    for number in range(KILLS):
        time.sleep(chance.uniform(0, 0.3) / AT_ONCE)
        running[number % AT_ONCE].kill()
        running[number % AT_ONCE] = site.start(EnqueuerPlan(url=site.url))
    for process in running:
        process.kill()

    orders_alone, jobs_alone, orders, jobs = site.query(ORPHANS)[0]
    figure(
        f"{KILLS} kill -9 of the enqueuing process, seed {seed}: {orders} orders and {jobs} jobs committed, "
        f"{orders_alone} orders without their job, {jobs_alone} jobs without their order"
    )
    assert int(str(orders)) > KILLS / 4, "too few transactions came through to say anything"
    assert (orders_alone, jobs_alone) == (0, 0)
    assert orders == jobs
