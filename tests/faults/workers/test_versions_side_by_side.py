"""Two releases of an application on one database: the old one runs the jobs it knows, the new one runs all."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence

import pytest
from server_jobs import connect

from tests.faults.conftest import IS_LONG
from tests.faults.plans import ReleasePlan
from tests.faults.programs.release import enqueue, registry_of
from tests.faults.site import Site

JOBS = 500 if IS_LONG else 15

_KNOWN_VALUES = "FROM json_array_elements(CAST(:known AS json)) AS known (value)"
VERSION_CHECK = (
    "CLAIM",
    "value->>1 AS spec_version FROM json_each(:known)",
    f"CAST(value->>1 AS integer) AS spec_version {_KNOWN_VALUES}",
    "jobs.spec_version FROM json_each(:known) JOIN jobs ON jobs.job_name = value->>0",
    f"jobs.spec_version {_KNOWN_VALUES} JOIN jobs ON jobs.job_name = value->>0",
)


def test_old_and_new_workers_run_each_row_once_and_the_new_one_what_the_old_one_left(site: Site) -> None:
    _run_side_by_side(site)


def test_sabotage_without_the_version_in_its_claims_the_old_worker_takes_new_rows(sqlite_site: Site) -> None:
    with pytest.raises(AssertionError):
        _run_side_by_side(sqlite_site, sabotage=(VERSION_CHECK,))


def _run_side_by_side(site: Site, *, sabotage: Sequence[Sequence[str]] = ()) -> None:
    old, new = (
        ReleasePlan(
            url=site.url,
            release=release,
            jobs=JOBS,
            notes=str(site.folder / "notes"),
            log=str(site.folder / "log"),
            sabotage=sabotage if release == 1 else (),
        )
        for release in (1, 2)
    )
    # The new release enqueues before its workers start. Workers of the old one ignore these rows.
    asyncio.run(_enqueue(site, 2, 1))
    workers = [site.start(old)]
    site.wait(lambda: site.finished() >= JOBS)
    assert site.statuses() == Counter(completed=JOBS, pending=1)
    asyncio.run(_enqueue(site, 1, JOBS))
    workers.append(site.start(new))
    site.wait(lambda: site.finished() == 3 * JOBS + 1)
    site.stop(workers[0])

    # A late enqueuer stores a row of the old version when no worker of it runs any more.
    asyncio.run(_enqueue(site, 1, 1))
    site.wait(lambda: site.finished() == 3 * JOBS + 2)
    site.stop(workers[1])

    assert site.statuses() == Counter(completed=3 * JOBS + 2)
    notes = [tuple(line.split()) for line in (site.folder / "notes").read_text(encoding="utf-8").splitlines()]
    begun = Counter((release, version) for release, version, _ in notes)
    assert max(Counter(job_id for _, _, job_id in notes).values()) == 1
    assert begun["1", "2"] == 0
    assert begun["2", "2"] == JOBS + 1
    assert begun["1", "1"] >= JOBS
    assert begun["2", "1"] >= 1
    assert begun.total() == 3 * JOBS + 2
    paid = Counter(json.loads(str(result))["paid"] for result in site.column("result").values())
    assert paid == Counter({f"{1 + number / 100:.2f} EUR": 3 for number in range(JOBS)}) + Counter({"1.00 EUR": 2})
    ends = Counter(change.job_id for change in site.history() if change.new_status == "completed")
    assert set(ends.values()) == {1}


async def _enqueue(site: Site, release: int, count: int) -> None:
    async with connect(registry_of(release), site.url):
        await enqueue(release, count)
