"""The tasks of the shop while it moves. Messages in the broker reach the jobs; chains and chords end as they began."""

import os

import shop
from celery import Celery
from generated.jobs import ReportStock, SendCode, SendReceipt
from generated.registry import registry
from server_jobs import set_database

set_database(registry)

app = Celery(
    "shop",
    broker=os.environ.get("BROKER_URL", "amqp://guest:guest@localhost:5672//"),
    backend=os.environ.get("REDIS_URL", "redis://localhost:6379/0"),
)
app.conf.update(task_routes={"tasks.send_*": {"queue": "mail"}})


@app.task(autoretry_for=(ConnectionError,), retry_backoff=1, retry_backoff_max=60, max_retries=4)
def charge(order: int, cents: int) -> str:
    """Charge an order, and return the payment, which the next step of the chain reads."""
    return shop.charge_card(order, cents)


@app.task
def send_receipt(payment: str, to: str) -> None:
    """Enqueue the receipt of a payment. It is the last step of its chain, so nobody reads its result."""
    SendReceipt.later_sync({"payment": payment, "to": to}, unique_key=payment)


@app.task(expires=600, ignore_result=True)
def send_code(to: str, code: str) -> None:
    """Enqueue a login code."""
    SendCode.later_sync({"to": to, "code": code})


@app.task(rate_limit="20/s", soft_time_limit=60)
def resize_image(image: str) -> int:
    """Resize an image, and return its size in bytes, which the body of the chord reads."""
    return shop.resize(image)


@app.task
def publish_album(sizes: list[int], title: str) -> None:
    """Publish an album of resized images."""
    shop.publish(title, sizes)


@app.task(ignore_result=True)
def report_stock(warehouse: str) -> None:
    """Enqueue a count of the stock. The spec has the schedule now."""
    ReportStock.later_sync({"warehouse": warehouse})
