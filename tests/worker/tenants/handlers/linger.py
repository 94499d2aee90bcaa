"""A slow handler."""

import asyncio
import time
from typing import Any

from server_jobs import JobContext


async def handle(params: Any, context: JobContext) -> dict[str, float]:
    await asyncio.sleep(params.seconds)
    return {"ran_at": time.time() * 1000}
