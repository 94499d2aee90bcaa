"""Handlers in their own pods: the name of a claim, and the part of a cluster that workers use."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Protocol

from server_jobs.definition import AnyDefinition
from server_jobs.domain.record import Claim, JobRecord, JobStatus
from server_jobs.errors import InvalidOptionError
from server_jobs.isolation.raised import HandlerProcessError


class PodFailedError(HandlerProcessError):
    """The pod did not start, or it ended before it stored an outcome."""

    def __init__(self, job_name: str, reason: str) -> None:
        super().__init__(f"{type(self).__name__}: the pod of {job_name} {reason}")


@dataclass(frozen=True, slots=True)
class ClaimName:
    """The name of a claim, which leads to its token only for readers of the database.

    `digest` is a hash of the token. The token itself never leaves the database: nobody who sees a pod can write the
    outcome of its job.
    """

    job_id: str
    digest: str

    @classmethod
    def of(cls, claim: Claim) -> ClaimName:
        """Return the name of this claim."""
        return cls(claim.id, _digest(claim.token))

    @classmethod
    def parse(cls, text: str) -> ClaimName:
        """Read the text that `str` returns. Raises `InvalidOptionError` for any other text."""
        job_id, _, digest = text.rpartition(":")
        if not job_id or not digest:
            raise InvalidOptionError(f"a claim is written JOB_ID:DIGEST, not {text!r}")
        return cls(job_id, digest)

    def __str__(self) -> str:
        return f"{self.job_id}:{self.digest}"

    def is_newest(self, record: JobRecord | None) -> bool:
        """Whether the job still runs under this claim. A later claim has another token."""
        return (
            record is not None
            and record.status is JobStatus.RUNNING
            and record.fencing_token is not None
            and _digest(record.fencing_token) == self.digest
        )


class PodAttempt(Protocol):
    """The attempt of a worker, as its pod needs it."""

    claim: Claim
    job: AnyDefinition
    lease: timedelta

    async def hand_over(self, boot: timedelta) -> None:
        """Leave the claim to the pod: renew the lease for the last time, and for `boot` longer.

        From now on, the pod renews the lease and stores the outcome.
        """
        ...

    async def is_current(self) -> bool:
        """Whether the claim is the newest of its job. Raises `DatabaseError`."""
        ...


class Pods(Protocol):
    """Runs the handlers of a worker in pods."""

    async def run(self, attempt: PodAttempt) -> None:
        """Run a claim in a pod. Return when the pod has stored the outcome.

        Raises `PodFailedError` if the pod does not start or ends without an outcome. If the caller is cancelled, delete
        the pod, unless it holds the claim.
        """
        ...


def _digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()[:32]
