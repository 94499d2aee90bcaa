"""The settings of Django for all tests in this process, because Django takes them once."""

from __future__ import annotations

import django
from django.conf import settings


def configure_django() -> None:
    """Set Django up, with the pages of `test_mounting` and a database in memory for each thread."""
    if not settings.configured:
        settings.configure(
            ROOT_URLCONF="tests.server_jobs_http.test_mounting",
            SECRET_KEY="-",
            ALLOWED_HOSTS=["*"],
            MIDDLEWARE=[],
            USE_TZ=True,
            DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        )
        django.setup()
