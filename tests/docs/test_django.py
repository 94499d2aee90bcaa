"""Django's transaction has the jobs that a view enqueues, on each database."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from server_jobs.schema import jobs, metadata
from sqlalchemy import create_engine, select
from sqlalchemy.engine import make_url

from tests.generator.databases import postgres_database

from .pages import ROOT, blocks

PAGE = ROOT / "docs/how-to/django.md"
SCRIPT = """
import django
django.setup()
from django.core.management import call_command
from django.db import connection, transaction
from generated.jobs import SendEmail
from shop.models import Order

call_command("makemigrations", "shop", verbosity=0)
call_command("migrate", verbosity=0)

def place(email, *, fails):
    with transaction.atomic():
        Order.objects.create(email=email)
        SendEmail.later_in(connection, {"to": email, "subject": "Order"})
        if fails:
            raise RuntimeError

place("first@example.com", fails=False)
try:
    place("second@example.com", fails=True)
except RuntimeError:
    pass
place("third@example.com", fails=False)
print(*Order.objects.values_list("email", flat=True))
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/mailer/server-jobs.sqlite3"
        return
    with postgres_database() as location:
        location = location.replace("postgresql://", "postgresql+psycopg://")
        engine = create_engine(location)
        metadata.create_all(engine)
        engine.dispose()
        yield location


def test_a_job_commits_and_rolls_back_with_the_rows_of_django(url: str, copy_of_tutorial: Callable[[], Path]) -> None:
    project = copy_of_tutorial()
    for block in blocks(PAGE):
        if block.title.startswith("shop/"):
            path = project / block.title
            path.parent.mkdir(exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
    (project / "shop/__init__.py").touch()
    with (project / "shop/settings.py").open("a", encoding="utf-8") as settings:
        settings.write(settings_of(url))
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "shop.settings", "PYTHONPATH": str(project)}
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=project, env=environment, capture_output=True, text=True)

    assert done.stdout.split() == ["first@example.com", "third@example.com"], done.stderr
    engine = create_engine(url)
    with engine.connect() as connection:
        params = " ".join(connection.scalars(select(jobs.c.params).where(jobs.c.status == "pending")))
    engine.dispose()
    assert [name in params for name in ("first", "second", "third")] == [True, False, True]


def settings_of(url: str) -> str:
    """Return the settings that lead Django to this database."""
    if url.startswith("sqlite"):
        return ""
    place = make_url(url)
    database: dict[str, object] = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": place.database,
        "USER": place.username,
    }
    database |= {"PASSWORD": place.password, "HOST": place.host, "PORT": place.port}
    return f"DATABASES = {{'default': {database!r}}}\n"
