"""Records: the values that pass between the engine and a store.

============  ==================================================
`job`         a stored job, whole and as a list shows it
`claim`       the right to run an attempt, and its lease
`settlement`  the end of an attempt
`filter`      jobs to find, and counts
`change`      changes that a person or the application asks for
`schedule`    schedules and their slots
`pruning`     deleting finished jobs
`work`        the work that waits in a store
`reports`     reports of workers
`audit`       entries of the audit log
============  ==================================================

Import `reports` and `audit` by themselves, because most processes do not need them.
"""

from .change import Cancellation, Deletion, PausedQueue, Repair, Retrial
from .claim import Claim, ClaimRequest, Heartbeat, KnownJob, LeaseAnswer, Report
from .filter import EQUAL_FILTERS, EVERY_JOB, LONGEST_PAGE, TEXT_FILTERS, JobCount, JobFilter, JobQuery, TextFilter
from .job import (
    GIVEN_COLUMNS,
    JOB_COLUMNS,
    SHARED_COLUMNS,
    SHORT_ERROR,
    SHORT_PARAMS,
    UNREADABLE,
    WAITS,
    Giver,
    Inserted,
    JobColumn,
    JobPreview,
    JobRecord,
    JobStatus,
    JobSummary,
    NewJob,
    Shown,
    record_of,
    shared_fields,
)
from .pruning import LONGEST_PRUNE_STEP, PRUNE_STEP, Pruned, PruneRule, PruneStep
from .schedule import Declaration, DueSchedules, Firing, ScheduleChange, ScheduleRecord
from .settlement import (
    LEASE_EXPIRED,
    MOST_LATE,
    Cancelled,
    Completed,
    Ended,
    Expired,
    Failed,
    LateJob,
    Outcome,
    Released,
    Settlement,
)
from .work import PendingWork, UpcomingWork

__all__ = [
    "EQUAL_FILTERS",
    "EVERY_JOB",
    "GIVEN_COLUMNS",
    "JOB_COLUMNS",
    "LEASE_EXPIRED",
    "LONGEST_PAGE",
    "LONGEST_PRUNE_STEP",
    "MOST_LATE",
    "PRUNE_STEP",
    "SHARED_COLUMNS",
    "SHORT_ERROR",
    "SHORT_PARAMS",
    "TEXT_FILTERS",
    "UNREADABLE",
    "WAITS",
    "Cancellation",
    "Cancelled",
    "Claim",
    "ClaimRequest",
    "Completed",
    "Declaration",
    "Deletion",
    "DueSchedules",
    "Ended",
    "Expired",
    "Failed",
    "Firing",
    "Giver",
    "Heartbeat",
    "Inserted",
    "JobColumn",
    "JobCount",
    "JobFilter",
    "JobPreview",
    "JobQuery",
    "JobRecord",
    "JobStatus",
    "JobSummary",
    "KnownJob",
    "LateJob",
    "LeaseAnswer",
    "NewJob",
    "Outcome",
    "PausedQueue",
    "PendingWork",
    "PruneRule",
    "PruneStep",
    "Pruned",
    "Released",
    "Repair",
    "Report",
    "Retrial",
    "ScheduleChange",
    "ScheduleRecord",
    "Settlement",
    "Shown",
    "TextFilter",
    "UpcomingWork",
    "record_of",
    "shared_fields",
]
