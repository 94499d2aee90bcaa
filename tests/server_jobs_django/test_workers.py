"""Workers of a Django project: handlers use the ORM, and connections are closed as around a request."""

from __future__ import annotations

import json
import sys

import pytest

from .conftest import Shop

BEGIN = """
from django.core.management import call_command
call_command("migrate", verbosity=0)
from generated.jobs import Bill, SendEmail, Ship
from shop.models import Order
order = Order.objects.create(email="ada@example.com")
"""
SHOW = """
from server_jobs_django.models import StoredJob
from shop.models import Order
for job in StoredJob.objects.order_by("id"):
    print(job.job_name, job.status, job.error or "")
print([[order.mailed, order.shipped, order.billed] for order in Order.objects.all()])
"""
CONSOLE = {
    "version": 1,
    "formatters": {"plain": {"format": "DJANGO %(name)s: %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
}


@pytest.mark.slow
def test_handlers_of_every_kind_use_the_orm(shop: Shop) -> None:
    shop.script(BEGIN + 'Ship.later_sync({"order": order.pk})\nBill.later_sync({"order": order.pk})')

    shop.manage("jobs", "worker", "--until-empty")
    *jobs, orders = shop.script(SHOW).splitlines()
    assert jobs == ["Ship completed ", "Bill completed ", "SendEmail completed ", "SendEmail completed "]
    assert orders == "[[True, True, True]]"


def test_jobs_of_a_handler_belong_to_its_transaction(shop: Shop) -> None:
    shop.script(BEGIN + 'Ship.later_sync({"order": order.pk, "fails": "transaction"})')

    shop.manage("jobs", "worker", "--until-empty")
    (job, orders) = shop.script(SHOW).splitlines()
    assert job.startswith("Ship failed RuntimeError: the carrier is on strike")
    assert orders == "[[False, False, False]]"


@pytest.mark.slow
def test_a_broken_connection_does_not_reach_the_next_job(postgres_shop: Shop) -> None:
    enqueue = 'Ship.later_sync({"order": order.pk, "fails": "connection"})\nShip.later_sync({"order": order.pk})'
    settings = {**postgres_shop.database, "CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": True}
    shop = Shop(postgres_shop.folder, settings)
    shop.script(BEGIN + enqueue)

    shop.manage("jobs", "worker", "--until-empty", "--concurrency", "1")
    assert shop.script(SHOW).splitlines()[:2] == ["Ship completed ", "Ship completed "]


@pytest.mark.slow
def test_the_command_line_finds_the_project_by_the_settings(sqlite_shop: Shop) -> None:
    sqlite_shop.script(BEGIN + 'SendEmail.later_sync({"to": order.email, "subject": "Hello"})')

    told = sqlite_shop.runs(
        sys.executable, "-m", "server_jobs_cli", "worker", "--until-empty", DJANGO_SETTINGS_MODULE="shop.settings"
    )
    assert "1 completed" in told
    assert "[[True, False, False]]" in sqlite_shop.script(SHOW)


def test_settings_that_cannot_be_imported_are_named(sqlite_shop: Shop) -> None:
    told = sqlite_shop.runs(
        sys.executable, "-m", "server_jobs_cli", "list", status=3, DJANGO_SETTINGS_MODULE="none.settings"
    )

    assert "DJANGO_SETTINGS_MODULE=none.settings" in told
    assert "Traceback" not in told


@pytest.mark.slow
def test_options_of_django_may_follow_the_command(sqlite_shop: Shop) -> None:
    sqlite_shop.script(BEGIN)

    assert "no jobs" in sqlite_shop.manage("jobs", "list", "--settings", "shop.settings")
    assert "manage.py jobs [OPTIONS]" in sqlite_shop.manage("jobs", "help")
    sqlite_shop.manage("jobs", "show", "1", status=1)


@pytest.mark.slow
def test_each_record_is_printed_once(sqlite_shop: Shop) -> None:
    sqlite_shop.script(BEGIN + 'SendEmail.later_sync({"to": order.email, "subject": "Hello"})')
    console = {"handlers": ["console"], "level": "INFO"}
    for logging in ({"root": console}, {"loggers": {"server_jobs": {**console, "propagate": False}}}):
        sqlite_shop.manage("jobs", "retry", "--all", "--status", "completed", status=None)
        told = sqlite_shop.manage("jobs", "worker", "--until-empty", SHOP_LOGGING=json.dumps(CONSOLE | logging))
        assert told.count("jobs: ") == 1, told
        assert told.count("stopped: ") == 1, told
