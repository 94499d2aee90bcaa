"""A plain function, for which there is no process in a Worker."""

from typing import Any

from server_jobs import JobContext


def handle(params: Any, context: JobContext) -> dict[str, str]:
    return {"text": str(len(params.text))}
