"""A plain function that a Worker has no thread for."""

from typing import Any

from server_jobs import JobContext


def handle(params: Any, context: JobContext) -> dict[str, str]:
    return {"text": params.text[::-1]}
