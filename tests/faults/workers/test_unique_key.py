"""Sixteen processes race for one unique key: at most one unfinished job, and every process gets its id."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.faults.conftest import IS_LONG, Figure
from tests.faults.oracle import FINISHED, illegal
from tests.faults.plans import RacerPlan
from tests.faults.site import Change, Site

RACERS = 16
KEYS = [f"key-{number}" for number in range(100 if IS_LONG else 12)]
ROUNDS = 20 if IS_LONG else 5
SLACK = 2
"""Milliseconds by which two readings of one clock may differ, because both are rounded."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a process, and the times of the call."""

    key: str
    job_id: str
    is_new: bool
    began: int
    ended: int


def race(site: Site, keys: Sequence[str]) -> list[Answer]:
    """Let all processes enqueue these keys at the same time."""
    gate, notes = site.folder / "gate", site.folder / "answers"
    plan = RacerPlan(url=site.url, gate=str(gate), notes=str(notes), keys=keys)
    racers = [site.start(plan) for _ in range(RACERS)]
    gate.touch()
    assert [racer.wait() for racer in racers] == [0] * RACERS
    lines = [line.split() for line in notes.read_text(encoding="utf-8").splitlines()]
    return [Answer(key, job_id, new == "1", int(began), int(ended)) for key, job_id, new, began, ended in lines]


def most_unfinished(history: Sequence[Change], key_of: Mapping[str, object]) -> int:
    """Return the most unfinished jobs that one key had at any moment."""
    unfinished: defaultdict[object, set[str]] = defaultdict(set)
    most = 0
    for change in history:
        holders = unfinished[key_of[change.job_id]]
        (holders.discard if change.new_status in FINISHED else holders.add)(change.job_id)
        most = max(most, len(holders))
    return most


def test_sixteen_processes_that_race_for_a_key_make_one_job_and_all_learn_its_id(site: Site, figure: Figure) -> None:
    answers = race(site, KEYS)

    told = defaultdict(set)
    for answer in answers:
        told[answer.key].add(answer.job_id)
    makers = Counter(answer.key for answer in answers if answer.is_new)
    figure(
        f"{RACERS} processes, {len(KEYS)} keys: {len(site.column('id'))} jobs, "
        f"{sum(len(ids) > 1 for ids in told.values())} keys with two answers"
    )
    assert {job_id for ids in told.values() for job_id in ids} == site.column("id").keys()
    assert all(len(ids) == 1 for ids in told.values())
    assert makers == dict.fromkeys(KEYS, 1)
    assert len(answers) == RACERS * len(KEYS)


def test_a_key_raced_for_while_its_jobs_complete_has_one_unfinished_job_at_any_time(site: Site, figure: Figure) -> None:
    keys = KEYS[:3] * ROUNDS * 2
    workers = [site.start(site.worker_plan(poll=0.02)) for _ in range(2)]
    answers = race(site, keys)
    site.wait(lambda: site.statuses()["completed"] == len(site.column("id")))
    site.stop(*workers)

    history = site.history()
    most = most_unfinished(history, site.column("unique_key"))
    wrong = [answer for answer in answers if not was_unfinished(answer, history)]
    figure(
        f"{len(answers):,} calls for {len(set(keys))} keys from {RACERS} processes while {len(site.column('id'))} jobs "
        f"complete: at most {most} unfinished, {len(wrong)} answers that named no unfinished job"
    )
    assert most == 1
    assert not wrong, wrong[:5]
    assert sum(answer.is_new for answer in answers) == len(site.column("id"))
    assert not illegal(history)


def was_unfinished(answer: Answer, history: Sequence[Change]) -> bool:
    """Return whether the job in the answer was unfinished at some moment of the call."""
    changes = [change for change in history if change.job_id == answer.job_id]
    if not changes or changes[0].happened_at > answer.ended + SLACK:
        return False
    return changes[-1].new_status not in FINISHED or changes[-1].happened_at >= answer.began - SLACK
