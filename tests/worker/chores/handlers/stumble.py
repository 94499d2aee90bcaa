"""A handler that fails at first."""

from typing import Any

from server_jobs import JobContext


async def handle(params: Any, context: JobContext) -> dict[str, str]:
    if context.attempt <= params.until:
        raise ValueError(f"stumbled in attempt {context.attempt}")
    return {"text": f"walked in attempt {context.attempt}"}
