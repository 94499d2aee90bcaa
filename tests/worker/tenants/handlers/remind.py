"""The handler of a schedule."""

import time
from typing import Any

from server_jobs import JobContext


async def handle(params: Any, context: JobContext) -> dict[str, float]:
    return {"ran_at": time.time() * 1000}
