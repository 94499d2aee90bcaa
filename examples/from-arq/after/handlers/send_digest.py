import feeds
from generated.models.send_digest import SendDigestParams
from server_jobs import JobContext


async def handle(params: SendDigestParams, context: JobContext) -> None:
    feeds.mail_digest(params.reader)
