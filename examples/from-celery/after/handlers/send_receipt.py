from datetime import timedelta

import shop
from generated.models.send_receipt import SendReceiptParams
from server_jobs import JobContext, RetryAfterError


def handle(params: SendReceiptParams, context: JobContext) -> None:
    try:
        shop.mail_receipt(params.payment, params.to)
    except shop.MailServerBusyError as error:
        raise RetryAfterError(timedelta(seconds=error.seconds), "the mail server is busy") from error
