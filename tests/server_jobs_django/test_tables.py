"""`python manage.py migrate` brings the tables, in agreement with `server-jobs migrate`."""

from __future__ import annotations

import json

import pytest

from .conftest import Shop, sqlite

COUNT = "from server_jobs_django.models import StoredJob\nprint('jobs:', StoredJob.objects.count())"
ENQUEUE = """
from generated.jobs import SendEmail
SendEmail.later_sync({"to": "ada@example.com", "subject": "Hello"})
"""
MIGRATE = "from django.core.management import call_command as run\nrun('migrate', verbosity=0)\n"
APPLIED = """
from django.core.management import call_command as run
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

def applied():
    loader = MigrationExecutor(connection).loader
    ours = {name for name in loader.disk_migrations if name[0] == "server_jobs"}
    return f"{len(ours & loader.applied_migrations.keys())}/{len(ours)}"

def is_behind():
    try:
        run("migrate", check_unapplied=True, verbosity=0)
    except SystemExit:
        return True
    return False
"""


def test_migrate_brings_the_tables_and_takes_them_back(shop: Shop) -> None:
    told = shop.script(
        f"{APPLIED}\nprint(is_behind())\nrun('migrate', verbosity=0)\nprint(is_behind(), applied())\n{COUNT}\n"
        "run('jobs', 'migrate')\nrun('migrate', 'server_jobs', 'zero', verbosity=0)\n"
        "print(is_behind(), applied(), 'jobs' in connection.introspection.table_names())"
    )

    first, second, jobs, _, again, last = told.splitlines()
    assert (first, second, jobs) == ("True", "False 2/2", "jobs: 0")
    assert again.endswith("(head)")
    assert "now at" not in again
    assert last == "True 0/2 False"


@pytest.mark.slow
def test_the_tables_of_the_command_line_are_not_made_again(shop: Shop) -> None:
    shop.manage("jobs", "migrate")

    told = shop.script(f"{ENQUEUE}{APPLIED}\nprint(applied())\nrun('migrate', verbosity=0)\nprint(applied())\n{COUNT}")
    assert told.split() == ["0/2", "2/2", "jobs:", "1"]


@pytest.mark.slow
def test_a_new_revision_is_a_new_migration(sqlite_shop: Shop) -> None:
    assert "2/2" in sqlite_shop.script(f"{APPLIED}\nrun('migrate', verbosity=0)\nprint(applied())")
    spec = sqlite_shop.folder / "specs/send_email.json"
    (sqlite_shop.folder / "specs/remind.json").write_text(spec.read_text().replace("SendEmail", "Remind"))
    sqlite_shop.generate()

    told = sqlite_shop.script(f"{APPLIED}\nprint(is_behind())\nrun('migrate', verbosity=0)\nprint(is_behind())")
    assert told.split() == ["True", "False"]


def test_makemigrations_has_nothing_to_do(sqlite_shop: Shop) -> None:
    assert "No changes detected" in sqlite_shop.manage("makemigrations", "--check", "--dry-run")


def test_sqlmigrate_shows_the_statements_and_runs_none(shop: Shop) -> None:
    (first, *_) = sorted((shop.folder / "generated/migrations/versions").glob("*.py"))

    told = shop.script(f"{APPLIED}\nrun('sqlmigrate', 'server_jobs', '{first.stem}')\nprint(applied())")
    assert "CREATE TABLE jobs" in told
    assert told.endswith("0/2\n")


@pytest.mark.slow
def test_a_router_gives_the_jobs_a_database_of_their_own(sqlite_shop: Shop) -> None:
    jobs = sqlite(sqlite_shop.folder / "jobs.sqlite3")
    databases = json.dumps({"default": sqlite_shop.database, "jobs": jobs})
    variables = {"SHOP_DATABASES": databases, "SHOP_ROUTERS": '["shop.routers.JobsRouter"]'}
    routed = Shop(sqlite_shop.folder, sqlite_shop.database, variables)
    routed.script(f"{MIGRATE}run('migrate', database='jobs', verbosity=0)\n{ENQUEUE}")

    assert "SendEmail" in routed.manage("jobs", "list")
    assert "no such table" in sqlite_shop.script(COUNT, status=1)


@pytest.mark.slow
def test_the_tables_can_have_a_schema_of_their_own(postgres_shop: Shop) -> None:
    settings = postgres_shop.folder / "pyproject.toml"
    settings.write_text(f'{settings.read_text()}schema = "background"\n')
    postgres_shop.generate()

    told = postgres_shop.script(
        f"{MIGRATE}{ENQUEUE}{COUNT}\nfrom django.db import connection\n"
        "with connection.cursor() as cursor:\n"
        "    cursor.execute(\"SELECT schemaname FROM pg_tables WHERE tablename = 'jobs'\")\n"
        "    print(cursor.fetchall())\n"
        "run('jobs', 'list')"
    )
    assert "jobs: 1\n[('background',)]" in told
    assert "SendEmail" in told


@pytest.mark.slow
def test_a_failed_revision_leaves_nothing_behind(shop: Shop) -> None:
    (first, *_) = sorted((shop.folder / "generated/migrations/versions").glob("*.py"))
    begin = "def upgrade() -> None:\n"
    first.write_text(first.read_text().replace(begin, f"{begin}    op.execute('CREATE TABLE half (id int)')\n"))
    first.write_text(first.read_text().replace("def downgrade", "    op.execute('SELECT nothing')\n\n\ndef downgrade"))

    told = shop.script(
        f"{APPLIED}\ntry:\n    run('migrate', 'server_jobs', verbosity=0)\n"
        "except Exception as error:\n    print(error)\n"
        "print(applied(), {'half', 'jobs'} & {*connection.introspection.table_names()})"
    )
    assert "nothing" in told
    assert told.endswith("0/2 set()\n")


@pytest.mark.slow
def test_missing_tables_are_named_with_the_command_that_makes_them(shop: Shop) -> None:
    told = "run `python manage.py migrate` against this database"
    assert told in shop.script(ENQUEUE, status=1)
    assert told in shop.manage("jobs", "worker", "--until-empty", status=3)
