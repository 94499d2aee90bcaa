"""Jobs in a Django project: `INSTALLED_APPS += ["server_jobs_django"]`.

=====================================================  =========================
to change                                              open
=====================================================  =========================
how job classes use Django's connection                `backend`, `database`
`later_in` with Django's connection                    `transactions`
the tables, and `python manage.py migrate`             `tables`, `migrations`
the URL for workers and commands                       `url`
Django in workers and handler processes                `setup`, `connections`
`python manage.py jobs` and `python manage.py check`   `management`, `checks`
stored jobs as models, and the admin                   `models`, `admin`
jobs in tests                                          `test`
=====================================================  =========================
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from server_jobs.on_demand import imported_when_used

if TYPE_CHECKING:
    from .url import database_url

__all__ = ["database_url"]

if not TYPE_CHECKING:
    __getattr__ = imported_when_used(__name__, database_url="url")  # `later_in` needs only one module of this package
