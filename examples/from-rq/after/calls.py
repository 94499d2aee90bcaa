"""Calls from the web application."""

from datetime import timedelta

from generated.jobs import ExportOrders, Remind
from generated.models.export_orders import ExportOrdersResult
from generated.registry import registry
from server_jobs import JobHandle, set_database

set_database(registry)


def start_export(customer: str) -> JobHandle[ExportOrdersResult]:
    """Export the orders of a customer, and remind the customer a second later."""
    Remind.later_sync({"customer": customer}, delay=timedelta(seconds=1))
    return ExportOrders.later_sync({"customer": customer, "rows": 30})


def wait_for(job: JobHandle[ExportOrdersResult]) -> str:
    """Return the name of the exported file."""
    return job.result_sync(timeout=timedelta(seconds=60)).data.file


if __name__ == "__main__":
    print(wait_for(start_export("ada")))
