"""A plain function that a Worker has no process for."""

from typing import Any

from server_jobs import JobContext


def handle(params: Any, context: JobContext) -> dict[str, str]:
    return {"text": str(len(params.text))}
