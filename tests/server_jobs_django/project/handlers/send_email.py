import os

from server_jobs import JobContext
from shop.models import Order

from generated.models.send_email import SendEmailParams, SendEmailResult


def handle(params: SendEmailParams, context: JobContext) -> SendEmailResult:
    Order.objects.filter(email=params.to).update(mailed=True)
    return SendEmailResult(process=os.getpid())
