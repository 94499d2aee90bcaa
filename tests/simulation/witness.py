"""Sees every change of the store and every run of a handler, and reports violations."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from server_jobs.domain.record import (
    Claim,
    ClaimRequest,
    Completed,
    Expired,
    Firing,
    JobRecord,
    JobStatus,
    ScheduleRecord,
    Settlement,
)

from .machine import Machine
from .moves import Call, is_filled_in, problems_of, problems_of_all

FORGOTTEN = "Vanish"
"""The only job whose handler leaves its claim to expire."""


@dataclass(eq=False)
class Run:
    """One call of a handler."""

    number: int
    job_id: str
    machine: Machine
    held: HeldClaim


@dataclass(eq=False)
class HeldClaim:
    """A claim that the store granted."""

    token: str
    job_id: str
    attempt: int
    machine: Machine
    at: float
    run: Run | None = None


@dataclass
class Capacity:
    """How many handlers may run at one time on a machine, and how many do."""

    limit: int
    running: int = 0
    is_closed: bool = False
    """Whether its workers have ended: no handler may start any more."""


@dataclass
class Witness:
    """The oracle of one simulation. It passes problems to `report`; the first one ends the simulation."""

    report: Callable[[str], None]
    time: Callable[[], float]
    limits: Mapping[str, int]
    """How many jobs of a name may run at one time when one of them is claimed."""
    pace: tuple[int, timedelta]
    """How many jobs of `Paced` may start within a time."""
    is_calm: bool = False
    """Whether failures have ended, so that healthy machines keep their claims."""
    records: dict[str, JobRecord] = field(default_factory=dict)
    history: dict[str, list[tuple[float, JobRecord]]] = field(default_factory=dict)
    claims: dict[str, HeldClaim] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    capacities: dict[Machine, Capacity] = field(default_factory=dict)
    fired: dict[str, list[datetime]] = field(default_factory=dict)
    planned: dict[str, datetime] = field(default_factory=dict)
    paused: set[str] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)
    _newest: dict[str, HeldClaim] = field(default_factory=dict)
    _calls: dict[int, str] = field(default_factory=dict)
    _starts: list[tuple[float, datetime]] = field(default_factory=list)
    _calm_since: float = float("inf")

    def become_calm(self) -> None:
        """Record that failures have ended."""
        self.is_calm, self._calm_since = True, self.time()

    # --- the store

    def see(self, machine: Machine, call: Call, answer: object, stored: Sequence[JobRecord]) -> None:
        """Check a call and its answer; `stored` are all jobs after it."""
        after = {record.id: record for record in stored}
        for job_id in sorted(self.records.keys() - after.keys()):
            self._object(f"{call.method} lost the job", job_id)
        changed = [record for record in stored if _has_moved(self.records.get(record.id), record)]
        for record in sorted(changed, key=lambda record: record.id):
            before = self.records.get(record.id)
            for problem in problems_of(call, before, record):
                self._object(problem, record.id)
            self._see_change(machine, call, before, record)
        before_all, self.records = self.records, after
        if changed:
            for problem in problems_of_all(after):
                self.report(problem)
        self._see_answer(call, answer, changed, before_all)

    def _see_change(self, machine: Machine, call: Call, before: JobRecord | None, after: JobRecord) -> None:
        self.history.setdefault(after.id, []).append((self.time(), after))
        self.counts[f"{call.method} to {after.status}"] += 1
        if before is None:
            self._see_new(after)
        elif call.method == "expire":
            self._see_expiry(after)
        if after.fencing_token is not None and (before is None or after.fencing_token != before.fencing_token):
            self._see_claim(machine, after, after.fencing_token)
        match call.subject:
            case [*settlements]:
                for settlement in settlements:
                    if isinstance(settlement, Completed) and settlement.id == after.id:
                        self._see_completed(settlement)

    def _see_new(self, record: JobRecord) -> None:
        marker: object = json.loads(record.params).get("call")
        if isinstance(marker, int):
            if marker in self._calls:
                self._object(f"the call that made it also made {self._calls[marker]}", record.id)
            self._calls[marker] = record.id

    def _see_claim(self, machine: Machine, record: JobRecord, token: str) -> None:
        if token in self.claims:
            self._object("it was claimed with the token of an older claim", record.id)
        held = HeldClaim(token, record.id, record.attempt_count, machine, self.time())
        self.claims[token] = self._newest[record.id] = held

    def _see_completed(self, settlement: Completed) -> None:
        held = self.claims.get(settlement.token)
        if held is None or held.run is None:
            self._object("it was completed with the token of a claim that was never run", settlement.id)
        elif json.loads(settlement.result) != {"run": held.run.number}:
            self._object(f"run {held.run.number} held the claim, and {settlement.result} was stored", settlement.id)

    def _see_expiry(self, record: JobRecord) -> None:
        held = self._newest[record.id]
        if self._is_healthy(held) and record.job_name != FORGOTTEN:
            self._object(f"the claim of {held.machine.name} expired, although it could have renewed it", record.id)

    def _is_healthy(self, held: HeldClaim) -> bool:
        """Return whether the claim's machine was healthy since the claim."""
        machine = held.machine
        return held.at > max(self._calm_since, machine.was_frozen_at) and not machine.is_frozen

    def _see_answer(
        self, call: Call, answer: object, changed: Sequence[JobRecord], before: Mapping[str, JobRecord]
    ) -> None:
        match call.method, call.subject, answer:
            case "claim", ClaimRequest() as request, [*claims]:
                self._see_claims(request, claims, changed)
            case "pause_queue", str() as queue, True:
                self.paused.add(queue)
            case "resume_queue", str() as queue, _:
                self.paused.discard(queue)
            case "settle", [*settlements], [*statuses]:
                for settlement, status in zip(settlements, statuses, strict=True):
                    self._see_settled(settlement, status, before)
            case "expire", _, [*expired]:
                named = {(job.id, job.status) for job in expired if isinstance(job, Expired)}
                if named != {(record.id, record.status) for record in changed}:
                    self.report(f"expire named {named}, and changed {[record.id for record in changed]}")
            case "fire", Firing() as firing, [*made]:
                self._see_firing(firing, made)
            case "end_batches", _, [*ended]:
                self._see_ended(ended, changed)

    def _see_claims(self, request: ClaimRequest, claims: Sequence[object], changed: Sequence[JobRecord]) -> None:
        ids = [claim.id for claim in claims if isinstance(claim, Claim)]
        if sorted(ids) != sorted(record.id for record in changed) or len(ids) > request.limit:
            self.report(f"claim answered {ids} for {request.limit} and changed {[record.id for record in changed]}")
        for record in changed:
            if record.queue in self.paused:
                self._object(f"it was claimed from the queue {record.queue}, which is paused", record.id)
        self._see_pace(changed)
        running = Counter(record.job_name for record in self.records.values() if record.status is JobStatus.RUNNING)
        for record in changed:
            if running[record.job_name] > self.limits.get(record.job_name, len(self.records)):
                self._object(f"it was claimed, and is one of {running[record.job_name]} that run", record.id)

    def _see_pace(self, changed: Sequence[JobRecord]) -> None:
        most, period = self.pace
        self._starts += [
            (self.time(), record.worker_started_at)
            for record in changed
            if record.job_name == "Paced" and record.worker_started_at
        ]
        # By both clocks, because the store's clock may have been set since.
        now, started = self.time(), [at for _, at in self._starts]
        close = [
            at for at, stored in self._starts if now - at < period.total_seconds() and started[-1] - stored < period
        ]
        if len(close) > most:
            self.report(f"{len(close)} jobs of Paced were started within {period}, and {most} may be")

    def _see_settled(self, settlement: object, status: object, before: Mapping[str, JobRecord]) -> None:
        assert isinstance(settlement, Settlement)
        job_id = settlement.id
        is_newest = before[job_id].fencing_token == settlement.token
        expected = self.records[job_id].status if is_newest else None
        if status is not expected:
            self._object(f"settle answered {status} instead of {expected} to {settlement.token}", job_id)

    def _see_firing(self, firing: Firing, made: Sequence[object]) -> None:
        self.planned.setdefault(firing.schedule_id, firing.next_run_at)
        slots = self.fired.setdefault(firing.schedule_id, [])
        for (slot, job), is_new in zip(firing.slots, made, strict=True):
            if is_new and slot in slots:
                self._object(f"the slot {slot} of {job.job_name} was fired a second time", job.id)
            if is_new:
                slots.append(slot)

    def _see_ended(self, ended: Sequence[object], changed: Sequence[JobRecord]) -> None:
        if sorted(map(str, ended)) != sorted(record.id for record in changed):
            self.report(f"end_batches named {ended}, and changed {[record.id for record in changed]}")
        for record in self.records.values():
            if record.batch_id in ended and not record.is_completion and not record.status.is_finished:
                self._object(f"its batch has ended, and it is {record.status}", record.id)

    # --- handlers

    def begin(self, machine: Machine, job_id: str, attempt: int) -> Run:
        """Record the start of a handler."""
        unused = [
            held
            for held in self.claims.values()
            if (held.machine, held.job_id, held.attempt, held.run) == (machine, job_id, attempt, None)
        ]
        if not unused:
            self._object(f"a handler began on {machine.name} without a claim for it", job_id)
            unused = [HeldClaim("", job_id, attempt, machine, self.time())]
        held = unused[-1]
        run = held.run = Run(len(self.runs), job_id, machine, held)
        self.runs.append(run)
        if self._is_healthy(held) and self.records[job_id].fencing_token != held.token:
            self._object(f"a handler began on {machine.name} under a claim that had ended", job_id)
        self._see_capacity(machine, job_id)
        return run

    def _see_capacity(self, machine: Machine, job_id: str) -> None:
        capacity = self.capacities.get(machine)
        if capacity is None:
            return
        capacity.running += 1
        if capacity.is_closed:
            self._object(f"a handler began on {machine.name}, whose worker has ended", job_id)
        if capacity.running > capacity.limit:
            self._object(f"{capacity.running} handlers run on {machine.name}, and {capacity.limit} may", job_id)

    def end(self, run: Run) -> None:
        """Record the end of a handler, in any way."""
        capacity = self.capacities.get(run.machine)
        if capacity is not None:
            capacity.running -= 1

    # --- callers

    def see_handle(self, job_id: str) -> None:
        """Check that a job with a returned handle is stored."""
        if job_id not in self.records:
            self._object("its id was returned to the caller, and it is not stored", job_id)

    def see_result(self, job_id: str | None, since: float, status: JobStatus, error: str | None, run: object) -> None:
        """Check the outcome that a caller got: it must have been true at some moment of the call."""
        versions = self.history.get(job_id or "", [])
        seen = [record for _, record in versions[_last_before(versions, since) :]]
        for record in seen:
            stored: object = None if record.result is None else json.loads(record.result)["run"]
            if (record.status, record.error, stored) == (status, error, run):
                return
        self._object(
            f"its caller was told {status} {error!r} {run}, and it was {[record.status for record in seen]}", job_id
        )

    # --- at the end

    def check_end(self, schedules: Sequence[ScheduleRecord], now: datetime, known: Sequence[str]) -> None:
        """Check that no work is left, after failures have ended and all had its time."""
        for record in self.records.values():
            if record.status is JobStatus.RUNNING or (record.status is JobStatus.PENDING and record.job_name in known):
                self._object(f"it is still {record.status}", record.id)
        for schedule in schedules:
            self._check_schedule(schedule, now.replace(second=0, microsecond=0))

    def _check_schedule(self, schedule: ScheduleRecord, newest: datetime) -> None:
        slots, first = sorted(self.fired.get(schedule.id, [])), self.planned.get(schedule.id)
        if first is None or schedule.last_run_at != newest:
            self.report(f"the newest slot of {schedule.name} is {newest}, and it last ran at {schedule.last_run_at}")
        elif slots[-1] != newest or slots[0] < first:
            self.report(f"the slots of {schedule.name} from {first} to {newest} were due, and {slots} fired")
        elif schedule.misfire == "fire_all" and len(slots) != (newest - first) // timedelta(minutes=1) + 1:
            self.report(f"{schedule.name} is to fire each slot from {first} to {newest}, and fired {slots}")

    def _object(self, problem: str, job_id: str | None) -> None:
        record = self.records.get(job_id or "")
        self.report(f"{record.job_name if record else 'job'} {job_id}: {problem}")


def _has_moved(before: JobRecord | None, after: JobRecord) -> bool:
    if before is after or before == after:
        return False
    return before is None or not is_filled_in(before, after)


def _last_before(versions: Sequence[tuple[float, JobRecord]], moment: float) -> int:
    """Return the index of the version that was current at that moment."""
    return max(0, sum(at <= moment for at, _ in versions) - 1)
