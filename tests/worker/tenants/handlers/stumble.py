"""A handler that fails at first."""

import time
from typing import Any

from server_jobs import JobContext


async def handle(params: Any, context: JobContext) -> dict[str, float]:
    if context.attempt == 1:
        raise ValueError("stumbled")
    return {"ran_at": time.time() * 1000}
