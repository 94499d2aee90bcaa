"""The context of a handler: ids, progress, log, database, and other jobs."""

from __future__ import annotations

import logging
import math
from collections.abc import Generator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from .contract.masking import masked_value
from .contract.values import MAX_MESSAGE_CHARACTERS
from .domain.enqueue_options import in_utc
from .domain.ids import new_job_id, slot_of
from .domain.text_limits import clean_text
from .domain.tracebacks import Mask, unmasked
from .errors import InvalidOptionError
from .resources import NO_RESOURCES, Resources

if TYPE_CHECKING:
    from datetime import datetime

    from .domain.interfaces import JobReader
    from .domain.statistics import BatchCounts

T = TypeVar("T")

_logger = logging.getLogger("server_jobs.job")


class Turn:
    """An optional `await`: it gives the event loop one turn. A plain function may ignore it."""

    def __await__(self) -> Generator[None, None, None]:
        yield


class JobLog:
    """A log that adds `job_id`, `job_name`, `attempt` and `correlation_id` to every record, as extras.

    The values of redacted params are masked.
    """

    def __init__(self, extra: Mapping[str, object], mask: Mask = unmasked) -> None:
        self._extra = extra
        self._mask = mask

    def info(self, message: str, data: object = None) -> None:
        """Log at level INFO. `data` becomes the extra `data`, and the end of the line."""
        self._log(logging.INFO, message, data)

    def warn(self, message: str, data: object = None) -> None:
        """Like `info`, at level WARNING."""
        self._log(logging.WARNING, message, data)

    warning = warn  # linters replace `warn` by this name

    def error(self, message: str, data: object = None) -> None:
        """Like `info`, at level ERROR."""
        self._log(logging.ERROR, message, data)

    def _log(self, level: int, message: str, data: object) -> None:
        if self._mask is not unmasked:
            message, data = self._mask(str(message)), masked_value(data, self._mask)
        extra = {**self._extra, "data": data}
        if data is None:
            _logger.log(level, "%s: %s", self._extra["job_name"], message, extra=extra)
        else:
            _logger.log(level, "%s: %s %s", self._extra["job_name"], message, data, extra=extra)


class JobContext:
    """One attempt of one job, as its handler sees it.

    `attempt` counts from 1. `database` is the database of the backend. `jobs` reads other jobs of the same store.
    `job_id` and `jobs` are None if the run is not stored.
    """

    def __init__(
        self,
        job_name: str,
        job_id: str | None = None,
        attempt: int = 1,
        correlation_id: str | None = None,
        database: object = None,
        jobs: JobReader | None = None,
        resources: Resources = NO_RESOURCES,
    ) -> None:
        self.cancelled: bool = False
        """True once the job is cancelled, timed out or lost. Plain handlers should check it."""
        self.progress: int = 0
        self.progress_message: str | None = None
        self.job_id = job_id
        self.job_name = job_name
        self.attempt = attempt
        self.correlation_id = correlation_id
        self.database = database
        self.jobs = jobs
        self.resources = resources
        """The open resources. `resource` finds one by its type."""
        self.mask: Mask = unmasked
        """Returns a text with the values of redacted params masked, for texts that leave the handler on other ways."""
        self.idempotency_key = job_id or new_job_id()
        """The same key for every attempt of a job, so that other systems can recognize a repeated call."""

    @cached_property
    def slot(self) -> datetime | None:
        """The planned time, in UTC, of the job of a schedule, the same in every attempt. None for other jobs.

        The slot follows from the id and the correlation id, which no attempt changes.

            async def handle(params: SendEmailParams, context: JobContext) -> SendEmailResult:
                day = (context.slot or datetime.now(UTC)).date()
                return SendEmailResult(message_id=f"{day}-{params.to}")
        """
        return None if self.job_id is None or self.correlation_id is None else slot_of(self.job_id, self.correlation_id)

    @cached_property
    def log(self) -> JobLog:
        """A log whose records name this job."""
        return JobLog(
            {
                "job_id": self.job_id,
                "job_name": self.job_name,
                "attempt": self.attempt,
                "correlation_id": self.correlation_id,
            },
            self.mask,
        )

    def resource(self, kind: type[T]) -> T:
        """Return the resource of this type, which a lifespan of the registry yields: of exactly this type, or else the
        only one of a subclass.

        Raises `ResourceNotFoundError`, which lists the types that exist.

            async def handle(params: SendEmailParams, context: JobContext) -> SendEmailResult:
                await context.resource(Mailer).send(params.to)
                return SendEmailResult(message_id="1")
        """
        return self.resources.get(kind)

    async def batch_counts(self) -> BatchCounts:
        """Count the jobs of the batch whose completion job this is. Raises `InvalidOptionError` in another job."""
        counts = None
        if self.jobs is not None and self.job_id is not None:
            counts = await self.jobs.count_batch(self.job_id)
        if counts is None:
            raise InvalidOptionError(f"{self.job_name} {self.job_id} is not the completion job of a batch")
        return counts

    def update_progress(self, percent: float, message: str | None = None) -> Turn:
        """Report progress from 0 to 100, and an optional message. Values outside of the range are clamped.

        The call costs no round trip: the engine stores the newest report about once a second and with the outcome. An
        async handler may `await` the result to give other jobs a turn. Raises `InvalidOptionError` for NaN.

            async def handle(params: SendEmailParams, context: JobContext) -> SendEmailResult:
                await context.update_progress(50, f"writing to {params.to}")
                return SendEmailResult(message_id=f"<{context.idempotency_key}@example.com>")
        """
        if math.isnan(percent):
            raise InvalidOptionError(f"the progress of {self.job_name} must be a number from 0 to 100, not NaN")
        self.progress = int(min(100, max(0, percent)))
        if message is not None and self.mask is not unmasked:
            message = self.mask(message)
        self.progress_message = None if message is None else clean_text(message, MAX_MESSAGE_CHARACTERS)
        return Turn()


def create_job_context(
    *,
    job_name: str = "Test",
    job_id: str | None = None,
    attempt: int = 1,
    correlation_id: str | None = None,
    database: object = None,
    jobs: JobReader | None = None,
    resources: Sequence[object] = (),
    slot: datetime | None = None,
) -> JobContext:
    """Return a context for calling a handler in a test.

    It has no backend and no store, and keeps the progress. `context.resource` finds `resources` by type. `slot` is an
    aware time; None: no schedule fired the job.

        from handlers.send_email import handle

        context = create_job_context(job_id="1")
        result = await handle(SendEmailParams(to="ada@example.com", subject="Hello"), context)
        assert result.message_id == "<1@example.com>"
        assert context.progress == 50
    """
    context = JobContext(
        job_name=job_name,
        job_id=job_id,
        attempt=attempt,
        correlation_id=correlation_id,
        database=database,
        jobs=jobs,
        resources=Resources(resources),
    )
    if slot is not None:
        context.slot = in_utc(slot, "slot")
    return context
