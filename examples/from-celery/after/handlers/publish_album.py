import asyncio

import shop
from generated.jobs import ResizeImage
from generated.models.publish_album import PublishAlbumParams
from server_jobs import Cancel, JobContext


async def handle(params: PublishAlbumParams, context: JobContext) -> Cancel | None:
    batch = await ResizeImage.find_batch(context.job_id)
    outcomes = await batch.results()
    if not all(outcome.ok for outcome in outcomes):
        return Cancel("an image is missing")  # a chord does not call its body either
    sizes = [outcome.data.bytes for outcome in outcomes]
    await asyncio.to_thread(shop.publish, params.title, sizes)
    return None
