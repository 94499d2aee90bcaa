"""Calls from the web application."""

import asyncio
from datetime import timedelta

from generated.jobs import FetchFeed, SendDigest
from generated.registry import registry
from server_jobs import connect


async def main() -> None:
    """Ask twice for one fetch of a feed, and mail a digest a second later."""
    async with connect(registry):
        job = await FetchFeed.later({"feed": "weather"})
        again = await FetchFeed.later({"feed": "weather"})
        await SendDigest.later({"reader": "ada@example.com"}, delay=timedelta(seconds=1))
        print("enqueued once:", not again.created)
        result = await job.result(timeout=timedelta(seconds=60))
        print("entries:", result.data.entries)


asyncio.run(main())
