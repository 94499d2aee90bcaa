import feeds
from generated.jobs import FetchFeed
from server_jobs import JobContext


async def handle(params: None, context: JobContext) -> None:
    feeds.note_refresh()
    await FetchFeed.later({"feed": "news"})
