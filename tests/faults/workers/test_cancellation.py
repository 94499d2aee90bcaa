"""Several processes cancel jobs while others claim and settle them: each ends once, in agreement with the answers."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from server_jobs.domain.record import Cancellation

from tests.faults.conftest import IS_LONG, Figure
from tests.faults.jobs import Nap
from tests.faults.oracle import illegal, is_stale
from tests.faults.plans import CancellerPlan
from tests.faults.site import Change, Site

JOBS = 3000 if IS_LONG else 300
CANCELLERS = 3


def cancel(site: Site, job_ids: Sequence[str]) -> Mapping[str, Counter[str]]:
    """Cancel the jobs from several processes while two workers run them. Return the answers for each job."""
    notes = site.folder / "answers"
    workers = [site.start(site.worker_plan(concurrency=5, poll=0.02)) for _ in range(2)]
    site.wait(lambda: bool(site.notes()))
    orders = [job_ids, job_ids, job_ids[::-1]]  # two cancel in the order of the workers, one in reverse
    plans = [
        CancellerPlan(url=site.url, notes=str(notes), seed=seed, pause=0.006, job_ids=order)
        for seed, order in enumerate(orders)
    ]
    cancellers = [site.start(plan) for plan in plans]
    assert [canceller.wait() for canceller in cancellers] == [0] * CANCELLERS
    site.wait(lambda: site.finished() == len(job_ids))
    site.stop(*workers)
    answers: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for line in notes.read_text(encoding="utf-8").splitlines():
        job_id, answer = line.split()
        answers[job_id][answer] += 1
    return answers


def test_each_job_ends_once_and_as_everybody_was_told(site: Site, figure: Figure) -> None:
    # The long ones run until they are cancelled.
    naps = [
        Nap(seconds=20 if number % 50 == 0 else (number % 7) / 60, failures=number % 11 == 0) for number in range(JOBS)
    ]
    job_ids = site.enqueue(naps)
    answers = cancel(site, job_ids)

    history = site.history()
    lives = {job_id: [change for change in history if change.job_id == job_id] for job_id in job_ids}
    contradictions = [job_id for job_id in job_ids if not agrees(answers[job_id], lives[job_id])]
    figure(
        f"{JOBS:,} jobs, {CANCELLERS} processes that cancel: {dict(sorted(site.statuses().items()))}, "
        f"answers {dict(sorted(sum(answers.values(), Counter[str]()).items()))}, contradictions {len(contradictions)}"
    )
    assert not contradictions, [(answers[job_id], lives[job_id]) for job_id in contradictions[:3]]
    assert not illegal(history)
    assert not [change for change in history if is_stale(change)]
    assert {note.job_id for note in site.notes() if note.event == "success"} == {
        job_id for job_id, status in site.column("status").items() if status == "completed"
    }
    told = {answer for counts in answers.values() for answer in counts}
    assert told == set(Cancellation) - {Cancellation.NOT_FOUND}, "not every kind of race took place"


def agrees(answers: Counter[str], life: Sequence[Change]) -> bool:
    """Return whether the answers to the cancellers match the history."""
    assert answers.total() == CANCELLERS
    last = life[-1]
    at_once = [change for change in life if (change.old_status, change.new_status) == ("pending", "cancelled")]
    if answers[Cancellation.CANCELLED]:
        return answers[Cancellation.CANCELLED] == 1 and at_once == [last]
    if answers[Cancellation.REQUESTED]:
        return not at_once and last.new_status in ("cancelled", "completed")
    return last.new_status == "completed"  # all of them came too late
