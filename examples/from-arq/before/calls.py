"""Calls from the web application."""

import asyncio

from arq import create_pool
from tasks import REDIS


async def main() -> None:
    """Ask twice for one fetch of a feed, and mail a digest a second later."""
    redis = await create_pool(REDIS)
    job = await redis.enqueue_job("fetch_feed", "weather", _job_id="weather")
    again = await redis.enqueue_job("fetch_feed", "weather", _job_id="weather")
    await redis.enqueue_job("send_digest", "ada@example.com", _defer_by=1)
    print("enqueued once:", again is None)
    print("entries:", await job.result(timeout=60))
    await redis.aclose()


asyncio.run(main())
