"""Errors of handler processes. They are stored like errors of handlers in the worker."""

from __future__ import annotations

from datetime import timedelta

from ..domain.outcomes import DoNotRetryError, RetryAfterError
from ..errors import ServerJobsError


class HandlerProcessError(ServerJobsError):
    """A handler in its own process failed. `description` is the text to store."""

    def __init__(self, description: str) -> None:
        ServerJobsError.__init__(self, description)  # skip `RetryAfterError.__init__`, where it is a base too
        self.description = description


class HandlerCrashedError(HandlerProcessError):
    """The process ended or became unusable before the handler returned."""

    def __init__(self, job_name: str, reason: str) -> None:
        super().__init__(f"{type(self).__name__}: the process that ran the handler of {job_name} {reason}")


class TimedOutInProcessError(HandlerProcessError):
    """The handler did not return within the timeout of its job."""


class RaisedInProcessError(HandlerProcessError):
    """The handler raised an error. The cause is a `TracebackThere`."""


class TracebackThere(Exception):  # noqa: N818  only a carrier for the log
    """The traceback in the handler process, as text."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


class FinalInProcessError(RaisedInProcessError, DoNotRetryError):
    """The handler raised `DoNotRetryError`."""


class RetriedInProcessError(RaisedInProcessError, RetryAfterError):
    """The handler raised `RetryAfterError`."""

    def __init__(self, description: str, delay: timedelta) -> None:
        RaisedInProcessError.__init__(self, description)
        self.delay = delay
