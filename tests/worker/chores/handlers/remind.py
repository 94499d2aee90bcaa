"""The handler of a schedule."""

from typing import Any

from server_jobs import JobContext


async def handle(params: Any, context: JobContext) -> dict[str, str]:
    return {"text": params.text}
