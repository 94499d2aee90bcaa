"""What goes wrong in another process, as an error here: it is stored as it would be had it happened here."""

from __future__ import annotations

from datetime import timedelta

from ..domain.outcomes import DoNotRetryError, RetryAfterError
from ..errors import ServerJobsError


class HandlerProcessError(ServerJobsError):
    """A handler in a process of its own has failed. `description` is the text to store."""

    def __init__(self, description: str) -> None:
        ServerJobsError.__init__(self, description)  # not that of `RetryAfterError`, where both are bases
        self.description = description


class HandlerCrashedError(HandlerProcessError):
    """The process ended, or was not to be used any more, before the handler returned."""

    def __init__(self, job_name: str, reason: str) -> None:
        super().__init__(f"{type(self).__name__}: the process that ran the handler of {job_name} {reason}")


class RaisedInProcessError(HandlerProcessError):
    """The handler raised. The cause is a `TracebackThere`."""


class TracebackThere(Exception):  # noqa: N818  no error, but what a log shows above one
    """The traceback of what was raised, as text."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


class FinalInProcessError(RaisedInProcessError, DoNotRetryError):
    """The handler raised `DoNotRetryError`."""


class RetriedInProcessError(RaisedInProcessError, RetryAfterError):
    """The handler raised `RetryAfterError`."""

    def __init__(self, description: str, delay: timedelta) -> None:
        RaisedInProcessError.__init__(self, description)
        self.delay = delay
