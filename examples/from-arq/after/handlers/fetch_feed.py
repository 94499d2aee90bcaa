from datetime import timedelta

import feeds
from generated.models.fetch_feed import FetchFeedParams, FetchFeedResult
from server_jobs import JobContext, RetryAfterError


async def handle(params: FetchFeedParams, context: JobContext, client: feeds.Client) -> FetchFeedResult:
    try:
        return FetchFeedResult(entries=await client.fetch(params.feed))
    except feeds.TooManyRequestsError as error:
        raise RetryAfterError(timedelta(seconds=error.seconds), "429 from the server") from error
