"""Jobs leave the lock: nothing of them was ever queued, or no row of them is left."""

from __future__ import annotations

from collections.abc import Sequence

from server_jobs.errors import InvalidOptionError

from ..problems import nearest
from .lock import Lock


def relock(lock: Lock, names: Sequence[str]) -> Lock:
    """The lock without these jobs (`SendEmail`, or `send_email`). Raises `InvalidOptionError` for one it has not."""
    if not names:
        return lock
    jobs = dict(lock.jobs)
    for given in names:
        name = next((name for name, job in lock.jobs.items() if given in (name, job.spec_name)), None)
        if name is None:
            raise InvalidOptionError(f"there is no job {given!r} in the lock{nearest(given, lock.jobs)}")
        jobs.pop(name, None)
    return Lock(jobs, lock.text)
