"""A plain handler in its own process."""

import os

from django.db import connection, transaction
from generated.models.ship import ShipParams, ShipResult
from server_jobs import JobContext
from shop.models import Order

from generated.jobs import SendEmail


def handle(params: ShipParams, context: JobContext) -> ShipResult:
    if params.fails == "connection":  # the server ends it, and the handler does not notice
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            (pid,) = cursor.fetchone()
        other = connection.copy("other")
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
        other.close()
        return ShipResult(process=os.getpid())
    with transaction.atomic():
        order = Order.objects.get(pk=params.order)
        order.shipped = True
        order.save()
        SendEmail.later_sync({"to": order.email, "subject": "Shipped"})
        if params.fails == "transaction":
            raise RuntimeError("the carrier is on strike")
    return ShipResult(process=os.getpid())
