"""Workers are replaced one after the other under load: no job is lost, and none loses an attempt."""

from __future__ import annotations

from tests.faults.conftest import IS_LONG, Figure
from tests.faults.jobs import Nap
from tests.faults.oracle import judge
from tests.faults.site import Site

JOBS, RESTARTS = (3000, 60) if IS_LONG else (240, 6)


def test_a_rolling_restart_loses_no_job_and_burns_no_attempt(site: Site, figure: Figure) -> None:
    # The drain timeout is shorter than some jobs, so that some are released.
    naps = [Nap(seconds=0.7 if number % 12 == 0 else 0.04) for number in range(JOBS)]
    job_ids = site.enqueue(naps)
    plan = site.worker_plan(concurrency=5, drain=0.2, lease=5.0)  # no lease expires because the machine is busy
    workers = [site.start(plan) for _ in range(2)]
    for number in range(RESTARTS):
        site.wait(lambda goal=JOBS * 0.9 * (number + 0.5) / RESTARTS: site.finished() >= goal)  # type: ignore[misc]
        workers.append(site.start(plan))
        site.stop(workers.pop(0))
    site.wait(lambda: site.finished() == JOBS)
    site.stop(*workers)

    verdict = judge(site, job_ids)
    attempts = list(site.column("attempt_count").values())
    released = sum(change.new_attempt < (change.old_attempt or 0) for change in site.history())
    figure(
        f"{JOBS:,} jobs, {RESTARTS} workers replaced by SIGTERM: lost {len(verdict.lost)}, released {released}, "
        f"attempts burnt {sum(count != 1 for count in attempts)}"
    )
    verdict.check()
    assert attempts == [1] * JOBS
    assert released, "nothing ran when workers were told to end"
