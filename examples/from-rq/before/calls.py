"""Calls from the web application."""

import time
from datetime import timedelta

from rq import Queue
from rq.job import Job, JobStatus
from tasks import export_orders, redis, remind


def start_export(customer: str) -> Job:
    """Export the orders of a customer, and remind the customer a second later."""
    Queue("default", connection=redis).enqueue_in(timedelta(seconds=1), remind, customer=customer)
    return export_orders.delay(customer=customer, rows=30)


def wait_for(job: Job) -> str:
    """Return the name of the exported file."""
    while job.get_status() != JobStatus.FINISHED:
        time.sleep(0.1)
    return job.return_value()


if __name__ == "__main__":
    print(wait_for(start_export("ada")))
