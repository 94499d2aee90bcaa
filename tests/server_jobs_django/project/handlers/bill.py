"""An async handler."""

import os

from generated.models.bill import BillParams, BillResult
from server_jobs import JobContext
from shop.models import Order

from generated.jobs import SendEmail


async def handle(params: BillParams, context: JobContext) -> BillResult:
    order = await Order.objects.aget(pk=params.order)
    order.billed = True
    await order.asave()
    await SendEmail.later({"to": order.email, "subject": "Billed"})
    if params.fails:
        raise RuntimeError(params.fails)
    return BillResult(process=os.getpid())
