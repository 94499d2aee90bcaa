"""Jobs in the `TestCase` of Django: handlers see the rows of its transaction, and a rollback withdraws jobs."""

from __future__ import annotations

import unittest

from pydantic import BaseModel
from server_jobs import JobContext, create_job_registry, define_job
from server_jobs.testing import InMemoryJobs

from tests.django_settings import configure_django


class Nothing(BaseModel):
    pass


class Count(BaseModel):
    rows: int


def count(params: Nothing, context: JobContext) -> Count:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM rows")
        return Count(rows=cursor.fetchone()[0])


async def count_async(params: Nothing, context: JobContext) -> Count:
    from asgiref.sync import sync_to_async

    return await sync_to_async(count)(params, context)


Plain = define_job(name="Plain", params=Nothing, result=Count, handler=count)
Async = define_job(name="Async", params=Nothing, result=Count, handler=count_async)


def test_handlers_see_the_transaction_of_the_test() -> None:
    configure_django()
    from django.db import connection
    from django.test import TestCase

    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE rows (number INTEGER)")

    class Case(TestCase):  # type: ignore[misc]  # Django has no types
        def setUp(self) -> None:
            self.jobs = self.enterContext(InMemoryJobs(create_job_registry().register(Plain).register(Async)))

        def test_handlers_see_rows_that_are_not_committed(self) -> None:
            with connection.cursor() as cursor:
                cursor.execute("INSERT INTO rows VALUES (1)")
            for eager in (False, True):
                self.jobs.eager = eager
                for job in (Plain, Async):
                    handle = job.later_sync({})
                    self.jobs.run_jobs()
                    assert handle.result_sync().data.rows == 1

    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(Case).run(result)

    assert result.testsRun == 1
    assert not [*result.errors, *result.failures], [*result.errors, *result.failures]
