"""An async handler that never waits."""

from typing import Any

from server_jobs import JobContext


async def handle(params: Any, context: JobContext) -> dict[str, str]:
    context.log.info("shouting", data={"letters": len(params.text)})
    return {"text": params.text.upper()}
