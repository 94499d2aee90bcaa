"""Ids: UUIDv7 made where a job is made, so that a retried insert is the same job."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from threading import Lock
from uuid import UUID, uuid5

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_VERSION_7 = 0x7 << 76
_VARIANT = 0x2 << 62
_VARIANTS = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))
_COUNTER_BITS = 12
_COUNT = (1 << _COUNTER_BITS) - 1
_MILLISECONDS = (1 << 48) - 1
_RANDOM_BITS = (((1 << 12) - 1) << 64) | ((1 << 62) - 1)
_SCHEDULES = UUID("7d0e8c52-5b1f-5c0e-9a3d-2f6b1d4c8e97")


BATCH_LENGTH = 32

_lock = Lock()
_last = 0


def new_job_id() -> str:
    """A new UUIDv7 as text, greater than each one that this process made before.

    So jobs that are due at the same moment are claimed in the order in which they were made (RFC 9562, section 6.2,
    method 1: twelve bits count the ids of one millisecond; a clock that is set back does not set the ids back).
    """
    global _last  # noqa: PLW0603  what makes the ids of one process ascend
    with _lock:
        made = _last = max(time.time_ns() // 1_000_000 << _COUNTER_BITS, _last + 1)
    milliseconds = f"{made >> _COUNTER_BITS & _MILLISECONDS:012x}"
    random = os.urandom(8).hex()
    count = f"7{made & _COUNT:03x}"  # after the version
    return f"{milliseconds[:8]}-{milliseconds[8:]}-{count}-{_VARIANTS[random[0]]}{random[1:4]}-{random[4:]}"


def slot_job_id(schedule_id: str, slot: datetime) -> str:
    """The id of the job of one slot of a schedule: the same wherever it is computed, so a slot has one job at most."""
    digest = sha256(f"{schedule_id}\n{slot.astimezone(UTC).isoformat()}".encode()).digest()
    return _uuid7(max(0, (slot - _EPOCH) // timedelta(milliseconds=1)), int.from_bytes(digest[:16]))


def schedule_id(job_name: str, name: str) -> str:
    """The id of a declared schedule: the same in every migration and on every store."""
    return str(uuid5(_SCHEDULES, f"{job_name}/{name}"))


def new_batch() -> str:
    """What the fencing tokens of one call that claims begin with: random, so that no other call ever has the same."""
    return os.urandom(BATCH_LENGTH // 2).hex()


def token_of(batch: str, job_id: str) -> str:
    """The fencing token of one job of that call. SQL says the same, `:batch || id`, and need not send it back."""
    return batch + job_id


def batch_of(token: str, job_id: str) -> str | None:
    """What that token begins with; None for one that no claim of this job can have."""
    return token[:BATCH_LENGTH] if token[BATCH_LENGTH:] == job_id else None


def _uuid7(milliseconds: int, random: int) -> str:
    digits = f"{(milliseconds & _MILLISECONDS) << 80 | _VERSION_7 | _VARIANT | random & _RANDOM_BITS:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
