"""A plain function, for which there is no thread in a Worker."""

from typing import Any

from server_jobs import JobContext


def handle(params: Any, context: JobContext) -> dict[str, str]:
    return {"text": params.text[::-1]}
