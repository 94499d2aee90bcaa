"""The jobs of the feed reader, for arq."""

import os
from typing import Any

import feeds
from arq import Retry, cron, func
from arq.connections import RedisSettings

REDIS = RedisSettings.from_dsn(os.environ.get("REDIS_URL", "redis://localhost:6379/0"))


async def startup(ctx: dict[str, Any]) -> None:
    """Open the client that all jobs of this worker share."""
    ctx["client"] = await feeds.Client().__aenter__()


async def shutdown(ctx: dict[str, Any]) -> None:
    """Close the client."""
    await ctx["client"].__aexit__(None, None, None)


async def fetch_feed(ctx: dict[str, Any], feed: str) -> int:
    """Fetch a feed, and return the number of its entries."""
    try:
        return await ctx["client"].fetch(feed)
    except feeds.TooManyRequestsError as error:
        raise Retry(defer=error.seconds) from error


async def send_digest(ctx: dict[str, Any], reader: str) -> None:
    """Mail the new entries to a reader."""
    feeds.mail_digest(reader)


async def refresh_news(ctx: dict[str, Any]) -> None:
    """Fetch the news."""
    feeds.note_refresh()
    await ctx["redis"].enqueue_job("fetch_feed", "news", _job_id="news")


class WorkerSettings:
    """The settings of `arq tasks.WorkerSettings`."""

    functions = (func(fetch_feed, timeout=30, max_tries=4, keep_result=60), send_digest)
    cron_jobs = (cron(refresh_news, minute=None, second=0),)
    on_startup = startup
    on_shutdown = shutdown
    redis_settings = REDIS
