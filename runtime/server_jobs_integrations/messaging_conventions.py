"""Names of OpenTelemetry's semantic conventions for messaging, version 1.44."""

from __future__ import annotations

SYSTEM = "messaging.system"
DESTINATION = "messaging.destination.name"
OPERATION = "messaging.operation.name"
OPERATION_TYPE = "messaging.operation.type"
MESSAGE_ID = "messaging.message.id"
CONVERSATION_ID = "messaging.message.conversation_id"
BATCH_COUNT = "messaging.batch.message_count"
ERROR_TYPE = "error.type"
EXCEPTION_MESSAGE = "exception.message"
EXCEPTION_STACKTRACE = "exception.stacktrace"
EXCEPTION_TYPE = "exception.type"

SEND = "send"
PROCESS = "process"

JOB = "server_jobs.job"
ATTEMPT = "server_jobs.attempt"
MAX_ATTEMPTS = "server_jobs.max_attempts"
OUTCOME = "server_jobs.outcome"
"""Our own names, for facts without a convention."""


def span_name(operation: str, queue: str) -> str:
    """Return the name of a span."""
    return f"{operation} {queue}"


def attributes(operation: str, job_name: str, queue: str, correlation_id: str | None) -> dict[str, str | int]:
    """Return the attributes of every span. Operation names and operation types are equal."""
    found: dict[str, str | int] = {
        SYSTEM: "server_jobs",
        OPERATION: operation,
        OPERATION_TYPE: operation,
        DESTINATION: queue,
        JOB: job_name,
    }
    if correlation_id is not None:
        found[CONVERSATION_ID] = correlation_id
    return found
