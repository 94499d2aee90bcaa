import asyncio

import shop
from generated.jobs import SendReceipt
from generated.models.charge import ChargeParams, ChargeResult
from server_jobs import DoNotRetryError, JobContext


async def handle(params: ChargeParams, context: JobContext) -> ChargeResult:
    try:
        payment = await asyncio.to_thread(shop.charge_card, params.order, params.cents)
    except shop.CardDeclinedError as error:
        raise DoNotRetryError(str(error)) from error
    await SendReceipt.later({"payment": payment, "to": params.to}, unique_key=payment)
    return ChargeResult(payment=payment)
