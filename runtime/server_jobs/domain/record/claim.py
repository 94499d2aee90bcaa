"""Claims and their leases."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from ..text_limits import check_text

if TYPE_CHECKING:
    from ..options import ConcurrencyLimit, RateLimit


@dataclass(frozen=True, slots=True)
class KnownJob:
    """A job name and a spec version that a worker can run, with the limits of the job."""

    name: str
    version: int
    concurrency: ConcurrencyLimit | None = None
    rate: RateLimit | None = None

    @property
    def is_limited(self) -> bool:
        """Whether the job has a limit."""
        return self.concurrency is not None or self.rate is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRequest:
    """The jobs that a worker can claim. `queues` None means every queue.

    The claim returns at most `limit` jobs. At most `slots` of them (None: unlimited) must start at once. These are jobs
    with an earlier attempt, which may have killed its worker, and jobs with a single attempt, which the death of the
    worker would use up. At most `limited` of the others (None: unlimited) have a limit, because a waiting claim uses
    up the limit. `worker_id` is the id of a long-lived worker, or None.

    Raises `InvalidOptionError` for an invalid name of a queue.
    """

    known: tuple[KnownJob, ...]
    limit: int
    lease: timedelta
    queues: tuple[str, ...] | None = None
    slots: int | None = None
    limited: int | None = None
    worker_id: str | None = None

    def __post_init__(self) -> None:
        for queue in self.queues or ():
            check_text("queues", queue)


class Claim(NamedTuple):
    """The right to run one attempt of a job until the lease expires, with the data for its handler.

    `params` is JSON text, `attempt` counts from 1, and `token` is unique among all claims. `headers` is a JSON object
    of texts, or None. `due_at` is the time since which the job could be claimed; None if the store does not return it.
    `batch_id` is the id of its batch, or None. `queue` is the queue of the row, which may differ from that of the spec.
    """

    # A tuple, because every job makes one.

    id: str
    job_name: str
    spec_version: int
    params: str
    attempt: int
    max_attempts: int
    correlation_id: str | None
    token: str
    headers: str | None = None
    due_at: datetime | None = None
    batch_id: str | None = None
    queue: str = "default"


@dataclass(frozen=True, slots=True)
class Report:
    """Progress of an attempt: 0 to 100, and a message."""

    progress: int
    message: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """A request to renew the lease of one claim, with its latest progress."""

    id: str
    token: str
    progress: int
    message: str | None


class LeaseAnswer(StrEnum):
    """The answer to a heartbeat: the lease is renewed, the job should stop, or the claim is lost.

    `BUSY`: another transaction locked the row. The claim is still valid, but its lease was not renewed.
    """

    RENEWED = "renewed"
    BUSY = "busy"
    CANCEL_REQUESTED = "cancel_requested"
    LOST = "lost"
