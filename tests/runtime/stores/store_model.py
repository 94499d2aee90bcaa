"""A simple model of a store: dicts and loops, without code of the engine.

The state machine test compares every store with this model after every step.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

Row = dict[str, object]

UNFINISHED = ("pending", "running")
WAITS = datetime(9999, 12, 31, tzinfo=UTC)


class StoreModel:
    """Jobs and schedules as dicts with the names of the stored columns."""

    def __init__(self) -> None:
        self.jobs: dict[str, Row] = {}
        self.schedules: dict[str, Row] = {}
        self.fired: set[tuple[str, datetime]] = set()
        self.paused: set[str] = set()
        self.starts: list[tuple[object, object, datetime]] = []
        self.attempts: dict[str, list[Row]] = {}

    # --- enqueue

    def insert(self, job_id: str, options: Row, now: datetime, on_conflict: str = "keep") -> tuple[str, bool]:
        if job_id in self.jobs:
            return job_id, False
        if self.free(options["unique_key"], now):
            options = options | {"batch_id": None}
        holder = self.key_owner_of(options["unique_key"])
        if holder is not None and on_conflict == "keep":
            return holder, False
        if holder is not None and self.jobs[holder]["status"] == "pending":
            self.replace(holder, options, now, on_conflict)
            return holder, False
        if holder is not None:
            self.jobs[holder].update(replaced_by=job_id, updated_at=now)
        self.jobs[job_id] = {
            "id": job_id,
            **options,
            "status": "pending",
            "result": None,
            "progress": 0,
            "progress_message": None,
            "error": None,
            "error_class": None,
            "worker_id": None,
            "attempt_count": 0,
            "worker_started_at": None,
            "worker_expires_at": None,
            "completed_at": None,
            "cancel_requested": False,
            "fencing_token": None,
            "replaced_by": None,
            "created_at": now,
            "updated_at": now,
        }
        return job_id, True

    def replace(self, job_id: str, options: Row, now: datetime, on_conflict: str) -> None:
        """Put another job in the place of a pending one."""
        row = self.jobs[job_id]
        kept = {name: row[name] for name in ("job_name", "unique_key")}
        if on_conflict == "replace":
            kept["scheduled_for"] = row["scheduled_for"]
            if options["start_before"] is not None:
                lasting = moment(options["start_before"]) - moment(options["scheduled_for"])
                kept["start_before"] = moment(row["scheduled_for"]) + lasting
        as_new = {"attempt_count": 0, "progress": 0, "progress_message": None, "error": None, "error_class": None}
        row.update(options, **as_new, worker_started_at=None, worker_id=None, updated_at=now)
        row.update(kept)

    def is_blocked(self, row: Row) -> bool:
        """Whether a running job gave up the unique key of this one."""
        return row["unique_key"] is not None and any(
            other["status"] == "running"
            and other["replaced_by"] is not None
            and other["unique_key"] == row["unique_key"]
            for other in self.jobs.values()
        )

    def free(self, key: object, now: datetime) -> bool:
        """Cancel a late job with this key. Return whether there was one."""
        holder = self.key_owner_of(key)
        if holder is None or not self.is_late(self.jobs[holder], now):
            return False
        self.cancel_late(holder, now)
        return True

    def is_late(self, row: Row, now: datetime) -> bool:
        return row["status"] == "pending" and row["start_before"] is not None and moment(row["start_before"]) < now

    def cancel_late(self, job_id: str, now: datetime) -> None:
        row = self.jobs[job_id]
        row.update(error=f"expired: it had to start by {moment(row['start_before']):%Y-%m-%d %H:%M:%S} UTC")
        row.update(status="cancelled", error_class=None, completed_at=now, updated_at=now)

    def key_owner_of(self, key: object) -> str | None:
        for job_id, row in self.jobs.items():
            is_owner = row["status"] in UNFINISHED and row["replaced_by"] is None
            if key is not None and row["unique_key"] == key and is_owner:
                return job_id
        return None

    # --- claim

    def claimable(self, known: Sequence[tuple[str, int]], queues: Sequence[str] | None, now: datetime) -> list[Row]:
        return [
            row
            for row in self.jobs.values()
            if row["status"] == "pending"
            and not self.is_late(row, now)
            and not self.is_blocked(row)
            and self.is_asked(row, known, queues)
        ]

    def is_asked(self, row: Row, known: Sequence[tuple[str, int]], queues: Sequence[str] | None) -> bool:
        return (row["job_name"], row["spec_version"]) in known and (queues is None or row["queue"] in queues)

    def running(self, known: Sequence[tuple[str, int]], queues: Sequence[str] | None) -> list[Row]:
        return [row for row in self.jobs.values() if row["status"] == "running" and self.is_asked(row, known, queues)]

    def waiting(self, known: Sequence[tuple[str, int]], queues: Sequence[str] | None, now: datetime) -> list[Row]:
        return [row for row in self.claimable(known, queues, now) if row["queue"] not in self.paused]

    def expected_claims(
        self,
        known: Sequence[tuple[str, int]],
        queues: Sequence[str] | None,
        limits: dict[str, int],
        rates: dict[str, tuple[int, timedelta]],
        count: int,
        now: datetime,
    ) -> list[str]:
        """Return the expected claims, and record the starts under a rate."""
        running = [
            (row["job_name"], row["concurrency_key"]) for row in self.jobs.values() if row["status"] == "running"
        ]
        chosen: list[str] = []
        for row in sorted(self.waiting(known, queues, now), key=_urgency):
            name = str(row["job_name"])
            is_full = name in limits and running.count((name, row["concurrency_key"])) >= limits[name]
            if name in rates:
                allowed, per = rates[name]
                recent = [
                    start for start in self.starts if start[:2] == (name, row["rate_key"]) and start[2] >= now - per
                ]
                is_full = is_full or len(recent) >= allowed
            if len(chosen) < count and moment(row["scheduled_for"]) <= now and not is_full:
                chosen.append(str(row["id"]))
                running.append((name, row["concurrency_key"]))
                if name in rates:
                    self.starts.append((name, row["rate_key"], now))
        return chosen

    def claim(self, job_id: str, token: str, lease: timedelta, worker_id: str | None, now: datetime) -> None:
        row = self.jobs[job_id]
        row["status"] = "running"
        row["attempt_count"] = number(row["attempt_count"]) + 1
        row["fencing_token"] = token
        row["worker_started_at"] = now
        row["worker_expires_at"] = now + lease
        row["worker_id"] = worker_id
        row["progress"] = 0
        row["progress_message"] = None
        row["updated_at"] = now

    # --- while it runs

    def is_newest(self, job_id: str, token: str) -> bool:
        row = self.jobs.get(job_id)
        return row is not None and row["status"] == "running" and row["fencing_token"] == token

    def renew(
        self, job_id: str, token: str, progress: int, message: str | None, lease: timedelta, now: datetime
    ) -> str:
        if not self.is_newest(job_id, token):
            return "lost"
        row = self.jobs[job_id]
        row.update(progress=progress, progress_message=message, worker_expires_at=now + lease, updated_at=now)
        return "cancel_requested" if row["cancel_requested"] else "renewed"

    # --- settle

    def complete(self, job_id: str, token: str, result: str, now: datetime) -> str | None:
        if not self.is_newest(job_id, token):
            return None
        self.jobs[job_id].update(result=result, error=None, error_class=None, progress=100)
        return self._end(job_id, "completed", now)

    def note_attempt(self, job_id: str, outcome: str, error: object, error_class: str | None, now: datetime) -> None:
        row = self.jobs[job_id]
        attempt: Row = {
            "job_id": job_id,
            "attempt": row["attempt_count"],
            "outcome": outcome,
            "error": error,
            "error_class": error_class,
            "traceback": None,
            "worker_id": row["worker_id"],
            "started_at": row["worker_started_at"],
            "ended_at": now,
        }
        self.attempts.setdefault(job_id, []).append(attempt)

    def fail(self, job_id: str, token: str, error: str, retry_after: timedelta | None, now: datetime) -> str | None:
        if not self.is_newest(job_id, token):
            return None
        self.note_attempt(job_id, "failed", error, "Boom", now)
        self.jobs[job_id].update(error=error, error_class="Boom")
        return self._after_failure(job_id, None if retry_after is None else now + retry_after, now)

    def refuse(self, job_id: str, token: str, reason: str, now: datetime) -> str | None:
        if not self.is_newest(job_id, token):
            return None
        self.note_attempt(job_id, "cancelled", reason, None, now)
        self.jobs[job_id].update(error=reason, error_class=None)
        return self._end(job_id, "cancelled", now)

    def release(self, job_id: str, token: str, delay: timedelta | None, now: datetime) -> str | None:
        if not self.is_newest(job_id, token):
            return None
        row = self.jobs[job_id]
        if delay is not None:
            self.note_attempt(job_id, "snoozed", None, None, now)
        row["attempt_count"] = number(row["attempt_count"]) - 1
        if row["replaced_by"] is not None:
            row.update(error=f"replaced by the job {row['replaced_by']}", error_class=None)
        if row["cancel_requested"] or row["replaced_by"] is not None:
            return self._end(job_id, "cancelled", now)
        return self._back_to_pending(job_id, row["scheduled_for"] if delay is None else now + delay, now)

    def report(self, job_id: str, token: str, progress: int, message: str | None) -> None:
        if self.is_newest(job_id, token):
            self.jobs[job_id].update(progress=progress, progress_message=message)

    def overdue(self, now: datetime) -> list[str]:
        return [
            job_id
            for job_id, row in self.jobs.items()
            if row["status"] == "running" and moment(row["worker_expires_at"]) < now
        ]

    def expire(self, job_id: str, due: datetime, error: object, now: datetime) -> str:
        self.note_attempt(job_id, "expired", error, "LeaseExpired", now)
        self.jobs[job_id].update(error=error, error_class="LeaseExpired")
        return self._after_failure(job_id, due, now)

    # --- by hand

    def cancel(self, job_id: str, now: datetime) -> str:
        row = self.jobs.get(job_id)
        if row is None:
            return "not found"
        if row["status"] == "pending" or _is_parked(row):
            row.update(status="cancelled", completed_at=now, updated_at=now)
            return "cancelled"
        if row["status"] == "running":
            row.update(cancel_requested=True, updated_at=now)
            return "requested"
        return "finished"

    def retry(self, job_id: str, now: datetime) -> str:
        row = self.jobs.get(job_id)
        if row is None:
            return "not found"
        if row["status"] not in ("failed", "cancelled"):
            return "not retryable"
        if self.key_owner_of(row["unique_key"]) is not None:
            return "duplicate"
        row.update(
            status="pending",
            attempt_count=0,
            scheduled_for=WAITS if _is_waiting(row) else now,
            start_before=None,
            progress=0,
            progress_message=None,
            error=None,
            error_class=None,
            cancel_requested=False,
            worker_started_at=None,
            worker_id=None,
            completed_at=None,
            replaced_by=None,
            updated_at=now,
        )
        return "retried"

    # --- batches

    def batch(self, batch_id: str) -> dict[str, str]:
        """Return the jobs of a batch with their status."""
        rows = [row for row in self.jobs.values() if row["batch_id"] == batch_id != row["id"]]
        return {str(row["id"]): str(row["status"]) for row in rows}

    def end_batches(self, batch_ids: Sequence[str] | None, now: datetime) -> list[str]:
        ended = [
            job_id
            for job_id, row in sorted(self.jobs.items())
            if row["status"] == "pending"
            and _is_waiting(row)
            and (batch_ids is None or job_id in batch_ids)
            and not any(status in UNFINISHED for status in self.batch(job_id).values())
        ]
        for job_id in ended:
            self.jobs[job_id].update(scheduled_for=now, updated_at=now)
        return ended

    def repair(self, job_id: str, old: Row, new: Row, now: datetime) -> str:
        row = self.jobs.get(job_id)
        if row is None:
            return "not found"
        if (row["params"], row["spec_version"]) != (old["params"], old["spec_version"]):
            return "not repairable"
        if row["status"] != "pending" and not _is_parked(row):
            return "not repairable"
        if self.key_owner_of(row["unique_key"]) not in (None, job_id):
            return "duplicate"
        row["status"], row["unique_key"], key = "failed", None, row["unique_key"]
        assert self.retry(job_id, now) == "retried"
        row.update(new, unique_key=key)
        return "repaired"

    # --- schedules

    def save_schedule(self, declared: Row) -> None:
        stored = self.schedules.get(str(declared["id"]))
        if stored is None:
            self.schedules[str(declared["id"])] = {
                **declared,
                "last_run_at": None,
                "next_run_at": None,
                "last_job_id": None,
            }
            return
        rule = ("cron_expression", "timezone", "misfire", "misfire_limit")
        if any(stored[column] != declared[column] for column in rule):
            stored["next_run_at"] = None
        stored.update({column: value for column, value in declared.items() if column != "enabled"})

    def enable_schedule(self, schedule_id: str, enabled: bool) -> bool:
        if schedule_id not in self.schedules:
            return False
        row = self.schedules[schedule_id]
        row.update(enabled=enabled, next_run_at=row["next_run_at"] if enabled and row["enabled"] else None)
        return True

    def add_schedule(self, added: Row) -> bool:
        if added["id"] in self.schedules:
            return False
        self.save_schedule(added)
        return True

    def change_schedule(self, schedule_id: str, cron: str) -> bool:
        row = self.schedules.get(schedule_id)
        if row is None or row["source"] != "added":
            return False
        row.update(cron_expression=cron, next_run_at=row["next_run_at"] if cron == row["cron_expression"] else None)
        return True

    def remove_schedule(self, schedule_id: str) -> bool:
        row = self.schedules.get(schedule_id)
        if row is None or row["source"] != "added":
            return False
        del self.schedules[schedule_id]
        self.fired = {(fired_id, slot) for fired_id, slot in self.fired if fired_id != schedule_id}
        return True

    def due_schedules(self, job_names: Sequence[str], now: datetime) -> set[str]:
        return {
            schedule_id
            for schedule_id, row in self.schedules.items()
            if row["enabled"]
            and row["job_name"] in job_names
            and (row["next_run_at"] is None or moment(row["next_run_at"]) <= now)
        }

    def fire(
        self,
        schedule_id: str,
        rule: tuple[str, str],
        slots: Sequence[tuple[datetime, str, Row]],
        next_run_at: datetime,
        now: datetime,
    ) -> list[bool]:
        for _, _, options in slots:
            self.free(options["unique_key"], now)
        schedule = self.schedules.get(schedule_id)
        if schedule is None or not schedule["enabled"]:
            return [False] * len(slots)
        answers: list[bool] = []
        for slot, job_id, options in slots:
            is_over = schedule["last_run_at"] is not None and slot <= moment(schedule["last_run_at"])
            created = not is_over and self.insert(job_id, options, now)[1]
            if created:
                assert (schedule_id, slot) not in self.fired
                self.fired.add((schedule_id, slot))
                schedule["last_job_id"] = job_id
            if not is_over:
                schedule["last_run_at"] = slot
            answers.append(created)
        if rule == (schedule["cron_expression"], schedule["timezone"]):
            schedule["next_run_at"] = next_run_at
        return answers

    # --- pause and prune

    def pause(self, queue: str) -> bool:
        changed = queue not in self.paused
        self.paused.add(queue)
        return changed

    def resume(self, queue: str) -> bool:
        changed = queue in self.paused
        self.paused.discard(queue)
        return changed

    def prune(self, status: str, job_name: str | None, age: timedelta, now: datetime) -> int:
        old = [
            job_id
            for job_id, row in self.jobs.items()
            if row["status"] == status
            and not _is_parked(row)
            and job_name in (None, row["job_name"])
            and moment(row["completed_at"]) < now - age
        ]
        for job_id in old:
            del self.jobs[job_id]
            self.attempts.pop(job_id, None)
        return len(old)

    # --- where the moves end

    def _after_failure(self, job_id: str, due: datetime | None, now: datetime) -> str:
        row = self.jobs[job_id]
        if row["cancel_requested"]:
            return self._end(job_id, "cancelled", now)
        if due is None or number(row["attempt_count"]) >= number(row["max_attempts"]):
            return self._end(job_id, "failed", now)
        if row["replaced_by"] is not None:
            return self._end(job_id, "cancelled", now)
        return self._back_to_pending(job_id, due, now)

    def _end(self, job_id: str, status: str, now: datetime) -> str:
        self.jobs[job_id].update(
            status=status, fencing_token=None, worker_expires_at=None, completed_at=now, updated_at=now
        )
        return status

    def _back_to_pending(self, job_id: str, due: object, now: datetime) -> str:
        self.jobs[job_id].update(
            status="pending", fencing_token=None, worker_expires_at=None, scheduled_for=due, updated_at=now
        )
        return "pending"


def _urgency(row: Row) -> tuple[int, datetime, str]:
    return (-number(row["priority"]), moment(row["scheduled_for"]), str(row["id"]))


def _is_waiting(row: Row) -> bool:
    return row["id"] == row["batch_id"] and row["scheduled_for"] == WAITS


def _is_parked(row: Row) -> bool:
    return row["status"] == "failed" and str(row["error"]).startswith("UNREADABLE: ")


def number(value: object) -> int:
    assert isinstance(value, int)
    return value


def moment(value: object) -> datetime:
    assert isinstance(value, datetime)
    return value
