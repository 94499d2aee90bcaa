"""The client that all jobs of a worker share."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import feeds
from server_jobs import JobRegistry


@asynccontextmanager
async def client() -> AsyncIterator[feeds.Client]:
    """Open the client before the first job, and close it after the last one."""
    async with feeds.Client() as opened:
        yield opened


def setup(registry: JobRegistry) -> None:
    """Give the client to handlers."""
    registry.lifespan(client)
