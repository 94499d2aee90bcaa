"""Jobs in a Django project: `INSTALLED_APPS += ["server_jobs_django"]`.

=====================================================  =========================
to change                                              open
=====================================================  =========================
how job classes use Django's connection                `backend`, `database`
the tables, and `python manage.py migrate`             `tables`, `migrations`
the URL for workers and commands                       `database_url`
Django in workers and handler processes                `setup`, `connections`
`python manage.py jobs` and `python manage.py check`   `management`, `checks`
stored jobs as models, and the admin                   `models`, `admin`
jobs in tests                                          `test`
=====================================================  =========================
"""

from .database_url import database_url

__all__ = ["database_url"]
