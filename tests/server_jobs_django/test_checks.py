"""`python manage.py check` finds mistakes in the set-up of the jobs."""

from __future__ import annotations

import re
import shutil
import sys

import pytest

from .conftest import Shop


def test_a_good_project_has_no_problems(shop: Shop) -> None:
    assert "no issues" in shop.runs(sys.executable, "manage.py", "check")


@pytest.mark.slow
def test_a_folder_without_settings_of_the_jobs_is_reported(sqlite_shop: Shop) -> None:
    (sqlite_shop.folder / "pyproject.toml").unlink()

    assert "server_jobs.E001" in sqlite_shop.manage("check", status=1)


@pytest.mark.slow
def test_the_hint_for_a_folder_without_settings_leads_to_the_first_job(sqlite_shop: Shop) -> None:
    for folder in ("generated", "specs", "handlers"):
        shutil.rmtree(sqlite_shop.folder / folder)
    (sqlite_shop.folder / "shop/urls.py").write_text("urlpatterns = []")
    (sqlite_shop.folder / "pyproject.toml").unlink()
    told = " ".join(sqlite_shop.manage("check", status=1).split())
    (command,) = re.findall(r"beside manage.py, and run `python manage.py (jobs new [^`]+)`", told)

    (sqlite_shop.folder / "pyproject.toml").write_text("[tool.server-jobs]\n")
    sqlite_shop.manage(*command.split())
    assert "no issues" in sqlite_shop.manage("check")


@pytest.mark.parametrize(
    ("missing", "problem"),
    [
        ("generated/registry.py", "server_jobs.E002) The jobs are not generated"),
        ("handlers/ship.py", "server_jobs.E003) A job has no handler: there is no"),
    ],
)
def test_what_is_missing_is_reported(missing: str, problem: str, sqlite_shop: Shop) -> None:
    (sqlite_shop.folder / "shop/urls.py").write_text("urlpatterns = []")
    (sqlite_shop.folder / missing).unlink()

    told = sqlite_shop.manage("check", status=1)
    assert problem in told
    assert "python manage.py jobs generate" in told


@pytest.mark.slow
def test_a_new_spec_is_reported_until_it_is_generated(sqlite_shop: Shop) -> None:
    spec = sqlite_shop.folder / "specs/send_email.json"
    (sqlite_shop.folder / "specs/remind.json").write_text(spec.read_text().replace("SendEmail", "Remind"))

    assert "(server_jobs.E002) The spec specs/remind.json is not generated" in sqlite_shop.manage("check", status=1)
    sqlite_shop.manage("jobs", "generate")
    assert "no issues" in sqlite_shop.manage("check")


@pytest.mark.slow
def test_revisions_of_two_branches_are_reported(sqlite_shop: Shop) -> None:
    *_, last = sorted((sqlite_shop.folder / "generated/migrations/versions").glob("*.py"))
    other = last.read_text().replace(last.stem.rpartition("_")[0], "server_jobs_0002_00000000")
    last.with_name("server_jobs_0002_00000000_other.py").write_text(other)

    assert "server_jobs.E004" in sqlite_shop.manage("check", status=1)


@pytest.mark.slow
def test_a_database_that_cannot_have_jobs_is_reported(sqlite_shop: Shop) -> None:
    other = Shop(sqlite_shop.folder, {"ENGINE": "django.db.backends.dummy", "OPTIONS": {}})

    assert "(server_jobs.E005) Jobs cannot be stored in the database 'default'" in other.manage("check", status=1)
    assert "is not supported; use SQLite or PostgreSQL" in other.manage("jobs", "list", status=3)


@pytest.mark.slow
def test_transactions_that_collide_on_sqlite_are_a_warning(sqlite_shop: Shop) -> None:
    told = Shop(sqlite_shop.folder, {**sqlite_shop.database, "OPTIONS": {}}).manage("check")

    assert "server_jobs.W006" in told
    assert 'DATABASES["default"]["OPTIONS"] = {"transaction_mode": "IMMEDIATE"}' in told


@pytest.mark.slow
def test_a_second_database_url_is_a_warning(sqlite_shop: Shop) -> None:
    told = sqlite_shop.manage("check", SERVER_JOBS_DATABASE_URL="postgresql://elsewhere")

    assert "server_jobs.W007" in told
