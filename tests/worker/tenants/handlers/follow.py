"""A handler that enqueues."""

import time
from importlib import import_module
from typing import Any

from server_jobs import JobContext


async def handle(params: Any, context: JobContext) -> dict[str, float]:
    await import_module("generated.jobs").Note.later({"tenant": params.of, "text": "followed"})
    return {"ran_at": time.time() * 1000}
