import exports
from generated.models.remind import RemindParams
from server_jobs import JobContext


def handle(params: RemindParams, context: JobContext) -> None:
    exports.mail_reminder(params.customer)
