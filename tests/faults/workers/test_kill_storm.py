"""Workers killed and stopped by the dozen: no lost job, illegal transition or stale result. Tests the oracle too."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence

import pytest

from tests.faults.conftest import IS_LONG, Figure
from tests.faults.jobs import MOST_NARROW, Nap, NarrowNap
from tests.faults.oracle import Verdict, judge, most_at_once
from tests.faults.sabotage import FENCE
from tests.faults.site import Site
from tests.faults.storm import Weather, storm
from tests.seeds import chosen_seed

WEATHER = (
    Weather(jobs=10_000, workers=4, kills=155, stops=30) if IS_LONG else Weather(jobs=300, workers=3, kills=8, stops=3)
)
SEED = int(os.environ.get("SERVER_JOBS_STORM_SEED", chosen_seed()))


def test_no_job_is_lost_and_no_stale_result_written_in_a_storm_of_kills_and_stops(site: Site, figure: Figure) -> None:
    print(f"SERVER_JOBS_STORM_SEED={SEED}")
    raged = storm(site, WEATHER, seed=SEED)
    verdict = judge(site, raged.enqueued)
    failed = site.statuses()["failed"]
    narrow = {job_id for job_id, name in site.column("job_name").items() if name == NarrowNap.job_name}
    most = most_at_once(site.history(), narrow)

    figure(
        f"{WEATHER.jobs:,} jobs, {WEATHER.workers} workers, {raged.kills} kill -9, {raged.stops} SIGSTOP, "
        f"seed {SEED}: lost {len(verdict.lost)}, illegal transitions {len(verdict.illegal)}, "
        f"stale results {verdict.stale_results}, attempts run twice {len(verdict.twice)}, "
        f"results believed stored and not {len(verdict.lies)}, attempts used up {failed}, "
        f"at once of a job that is limited to {MOST_NARROW}: {most}"
    )
    verdict.check()
    assert most == MOST_NARROW
    assert any(change.new_attempt > 1 for change in site.history()), "no worker was killed while it ran a job"


def stand_still(site: Site, *, sabotage: Sequence[Sequence[str]]) -> Verdict:
    """Stop a worker until another has its jobs. Let the first continue and write before the other one ends."""
    gate = site.folder / "gate"
    job_ids = site.enqueue([Nap(seconds=0.8 + number / 100, gate=gate) for number in range(20)])
    plan = site.worker_plan(sabotage=sabotage, concurrency=20)
    first = site.start(plan)
    # A worker that is stopped while it renews its leases gives up its attempts when it continues. With the progress of
    # each of them stored, no renewal is due for a while.
    site.wait(lambda: sum("token" in str(one) for one in site.column("progress_message").values()) == 20)
    first.send(signal.SIGSTOP)
    second = site.start(plan)
    site.wait(lambda: len(began(site, 2)) == 20)
    first.send(signal.SIGCONT)
    site.wait(lambda: sum(note.process == first.pid and note.event != "begin" for note in site.notes()) == 20)
    gate.touch()
    site.wait(lambda: site.finished() == 20)
    site.stop(first, second)
    return judge(site, job_ids)


def began(site: Site, attempt: int) -> list[str]:
    """Return the jobs whose attempt of that number has started."""
    return [note.job_id for note in site.notes() if note.event == "begin" and note.attempt == attempt]


def test_a_worker_that_stood_still_writes_nothing(site: Site, figure: Figure) -> None:
    verdict = stand_still(site, sabotage=())
    figure(f"20 attempts that went on after a stop longer than the lease: stale results {verdict.stale_results}")
    verdict.check()


@pytest.mark.slow
def test_without_the_fence_the_oracle_sees_stale_results(site: Site, figure: Figure) -> None:
    verdict = stand_still(site, sabotage=FENCE)
    figure(f"the same with the fence off: stale results {verdict.stale_results}")
    assert verdict.stale_results == 20


if IS_LONG:

    def test_the_same_storm_with_the_fence_off_writes_stale_results(site: Site, figure: Figure) -> None:
        raged = storm(site, WEATHER, seed=SEED, sabotage=FENCE)
        verdict = judge(site, raged.enqueued)
        figure(
            f"{WEATHER.jobs:,} jobs with the fence off, {raged.kills} kill -9, {raged.stops} SIGSTOP, seed {SEED}: "
            f"stale results {verdict.stale_results}"
        )
        assert verdict.stale_results > 0
