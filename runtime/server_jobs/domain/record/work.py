"""Work that waits in a store."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class PendingWork:
    """Pending work: expired leases, due schedules, jobs to claim, the report of the tick that asks, completion jobs of
    ended batches, and late jobs.
    """

    has_expired: bool
    has_due_schedule: bool
    has_due_job: bool
    has_due_report: bool = False
    has_ended_batch: bool = False
    has_late: bool = False


@dataclass(frozen=True, slots=True)
class UpcomingWork:
    """The time until there is work for the jobs of a request. Zero: there is now. None: nothing is stored for it.

    `until_due` is the time until a pending job is due, `until_lease_end` until the lease of a running job ends, and
    `until_slot` until a schedule has a slot. A schedule without a planned slot counts as due. `until_later` is like
    `until_due`, without the jobs that are due already.
    """

    until_due: timedelta | None = None
    until_lease_end: timedelta | None = None
    until_slot: timedelta | None = None
    until_later: timedelta | None = None

    def earliest(self, pause: timedelta = timedelta(0)) -> timedelta | None:
        """Return the time until the first of them. Work that is due now waits for the pause; later work does not."""
        found = (self.until_due, self.until_lease_end, self.until_slot)
        waits = [wait or pause for wait in found if wait is not None]
        return min(waits if self.until_later is None else [*waits, self.until_later], default=None)
