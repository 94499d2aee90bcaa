"""The tasks of the shop, for Celery with RabbitMQ."""

import os

import shop
from celery import Celery, Task
from celery.schedules import crontab

app = Celery(
    "shop",
    broker=os.environ.get("BROKER_URL", "amqp://guest:guest@localhost:5672//"),
    backend=os.environ.get("REDIS_URL", "redis://localhost:6379/0"),
)
app.conf.update(
    task_routes={"tasks.send_*": {"queue": "mail"}},
    timezone="Europe/Berlin",
    beat_schedule={
        "every-minute": {
            "task": "tasks.report_stock",
            "schedule": crontab(minute="*"),
            "kwargs": {"warehouse": "Berlin"},
        },
    },
)


@app.task(autoretry_for=(ConnectionError,), retry_backoff=1, retry_backoff_max=60, max_retries=4)
def charge(order: int, cents: int) -> str:
    """Charge an order, and return the payment."""
    return shop.charge_card(order, cents)


@app.task(bind=True, max_retries=3)
def send_receipt(self: Task, payment: str, to: str) -> None:
    """Mail the receipt of a payment."""
    try:
        shop.mail_receipt(payment, to)
    except shop.MailServerBusyError as error:
        raise self.retry(exc=error, countdown=error.seconds) from error


@app.task(expires=600, time_limit=30, ignore_result=True)
def send_code(to: str, code: str) -> None:
    """Mail a login code, which is valid for ten minutes."""
    shop.mail_code(to, code)


@app.task(rate_limit="20/s", soft_time_limit=60)
def resize_image(image: str) -> int:
    """Resize an image, and return its size in bytes."""
    return shop.resize(image)


@app.task
def publish_album(sizes: list[int], title: str) -> None:
    """Publish an album of resized images."""
    shop.publish(title, sizes)


@app.task(ignore_result=True)
def report_stock(warehouse: str) -> None:
    """Count the stock of a warehouse."""
    shop.count_stock(warehouse)
