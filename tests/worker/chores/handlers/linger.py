"""A slow handler that reports progress."""

import asyncio
from typing import Any

from server_jobs import JobContext


async def handle(params: Any, context: JobContext) -> dict[str, str]:
    await context.update_progress(50, "half way")
    await asyncio.sleep(params.seconds)
    return {"text": "there"}
