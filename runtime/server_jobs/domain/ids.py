"""Ids. The caller makes the id of a job, so that a retried insert stores the same job."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from threading import Lock
from uuid import UUID, uuid5

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_VERSION_7 = 0x7 << 76
_VARIANT = 0x2 << 62
_VARIANTS = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))
_COUNTER_BITS = 12
_COUNT = (1 << _COUNTER_BITS) - 1
_MILLISECONDS = (1 << 48) - 1
_RANDOM_BITS = (((1 << 12) - 1) << 64) | ((1 << 62) - 1)
_RANDOM_PLACE = 80
_RUN_PLACE = 64  # in the twelve random bits behind the version
_SCHEDULES = UUID("7d0e8c52-5b1f-5c0e-9a3d-2f6b1d4c8e97")
_TICKS = UUID("0f5f3f0c-94c1-5b0b-8a86-9c2d7f1e6b34")


BATCH_LENGTH = 32
MOST_RUNS = 1 << 12
"""The most runs of one slot."""

_lock = Lock()
_last = 0


def new_job_id() -> str:
    """Return a new id, as `new_job_ids` does."""
    return new_job_ids(1)[0]


def new_job_ids(count: int) -> list[str]:
    """Return new UUIDv7s as text, each greater than every earlier one of this process.

    Jobs that are due at the same time are therefore claimed in the order of their creation. Twelve bits count the ids
    within one millisecond (RFC 9562, section 6.2, method 1). A clock that is set back does not set the ids back.
    """
    global _last  # noqa: PLW0603  the last id of this process
    with _lock:
        first = max(time.time_ns() // 1_000_000 << _COUNTER_BITS, _last + 1)
        _last = first + count - 1
    random = os.urandom(8 * count).hex()
    made, start = list[str](), ""
    for number in range(count):
        ticks, digits = first + number, random[16 * number : 16 * number + 16]
        if not (start and ticks & _COUNT):  # the next millisecond
            time_digits = f"{ticks >> _COUNTER_BITS & _MILLISECONDS:012x}"
            start = f"{time_digits[:8]}-{time_digits[8:]}-7"  # 7 is the version
        made.append(f"{start}{ticks & _COUNT:03x}-{_VARIANTS[digits[0]]}{digits[1:4]}-{digits[4:]}")
    return made


def slot_job_id(schedule_id: str, slot: datetime, run: int = 0) -> str:
    """Return the id of the job that a schedule enqueues for a slot, one of its times.

    Every machine computes the same id, so that a slot has at most one job. `run` is the number of the run of this slot,
    from 0. The first 4096 runs have different ids.
    """
    digest = sha256(f"{schedule_id}\n{slot.astimezone(UTC).isoformat()}".encode()).digest()
    random = int.from_bytes(digest[:16]) ^ run << _RUN_PLACE
    return _uuid7(max(0, (slot - EPOCH) // timedelta(milliseconds=1)), random)


def slot_of(job_id: str, label: str) -> datetime | None:
    """Return the slot of a job in UTC if the id is one of the schedule with this label, such as `DailyDigest/daily`.

    The id alone has the time, so that a row needs no column for it. Ids of `new_job_id` never match.
    """
    schedule = labelled_schedule_id(label)
    try:
        number = UUID(job_id).int
        slot = EPOCH + timedelta(milliseconds=number >> _RANDOM_PLACE)
    except (ValueError, OverflowError):
        return None
    run = (number ^ UUID(slot_job_id(schedule, slot)).int) >> _RUN_PLACE
    return slot if run < MOST_RUNS and slot_job_id(schedule, slot, run) == job_id else None


def oldest_id(moment: datetime) -> str:
    """Return a text before all ids of jobs that were made at this time or later, and after those made earlier."""
    digits = f"{max(0, (moment - EPOCH) // timedelta(milliseconds=1)):012x}"
    return f"{digits[:8]}-{digits[8:]}"


def schedule_id(job_name: str, name: str) -> str:
    """Return the id of a declared schedule, the same in every migration and store."""
    return labelled_schedule_id(f"{job_name}/{name}")


def labelled_schedule_id(label: str) -> str:
    """Return the id of the schedule with this label."""
    return str(uuid5(_SCHEDULES, label))


def tick_id(job_names: Iterable[str]) -> str:
    """Return the id of the ticks that run the jobs of these names, the same on every host.

    Containers that run one tick each have different hosts, and a new spec version is not another worker.
    """
    return str(uuid5(_TICKS, "/".join(sorted(set(job_names)))))


def new_batch() -> str:
    """Return a random prefix for the fencing tokens of one claim call, unique among all calls."""
    return os.urandom(BATCH_LENGTH // 2).hex()


def token_of(batch: str, job_id: str) -> str:
    """Return the fencing token of a job of that call. SQL computes the same: `:batch || id`."""
    return batch + job_id


def _uuid7(milliseconds: int, random: int) -> str:
    digits = f"{(milliseconds & _MILLISECONDS) << _RANDOM_PLACE | _VERSION_7 | _VARIANT | random & _RANDOM_BITS:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
