"""Tests as a user writes them. `tests/server_jobs_django/test_tests.py` runs them on each database."""

import os
from datetime import timedelta
from unittest import mock

from django.contrib.auth.models import Permission, User
from django.db import connection, transaction
from django.test import Client, TestCase, TransactionTestCase
from django.utils import timezone
from server_jobs import Cancellation, InvalidOptionError, InvalidParamsError, JobStatus
from server_jobs.domain.record import JOB_COLUMNS
from server_jobs_django.models import StoredAttempt, StoredJob
from server_jobs_django.test import arun_stored_jobs, assert_enqueued, refute_enqueued, run_stored_jobs

from generated.jobs import Bill, SendEmail, Ship

from .models import Order

MAIL = {"to": "ada@example.com", "subject": "Hello"}


class JobsOfATest:
    """What holds in every kind of test. The tests that enqueue the same unique key show that each begins anew."""

    def setUp(self):
        assert not StoredJob.objects.exists()

    def test_a_view_enqueues_and_its_job_runs(self):
        self.client.post("/orders", {"email": "ada@example.com"}, "application/json")
        assert StoredJob.objects.get().status == "pending"
        assert run_stored_jobs() == 1
        assert Order.objects.get().mailed
        assert StoredJob.objects.get().status == "completed"

    def test_assertions_find_enqueued_jobs(self):
        refute_enqueued()
        SendEmail.later_sync(MAIL, delay=timedelta(hours=1), priority=5)
        sent = assert_enqueued(SendEmail, to="ada@example.com", delay=timedelta(hours=1), priority=5)
        assert sent.params.subject == MAIL["subject"]
        refute_enqueued(Ship)
        refute_enqueued(SendEmail, to="grace@example.com")
        with self.assertRaisesMessage(AssertionError, "no SendEmail with to='grace@example.com' was enqueued, but:"):
            assert_enqueued(SendEmail, to="grace@example.com")
        with self.assertRaisesMessage(AssertionError, "unexpected job:"):
            refute_enqueued()
        with self.assertRaisesMessage(InvalidOptionError, "did you mean 'subject'?"):
            assert_enqueued(SendEmail, subjekt="Hello")
        with self.assertRaisesMessage(InvalidOptionError, "pass the job class, such as SendEmail, not 'Ship'"):
            refute_enqueued("Ship")

    def test_an_async_view_enqueues(self):
        self.client.post("/async/orders", {"email": "ada@example.com"}, "application/json")
        assert run_stored_jobs() == 1
        assert Order.objects.get().mailed

    def test_a_job_rolls_back_with_the_transaction(self):
        with transaction.atomic():
            SendEmail.later_sync(MAIL)
            transaction.set_rollback(True)
        assert not StoredJob.objects.exists()

    def test_an_enqueue_is_one_query(self):
        with self.assertNumQueries(1):
            SendEmail.later_sync(MAIL)
        assert not SendEmail.later_sync(MAIL).created

    def test_params_that_do_not_fit_break_no_transaction(self):
        with transaction.atomic():
            try:
                SendEmail.later_sync({"to": "nobody"})
            except InvalidParamsError:
                Order.objects.create(email="ada@example.com")
        assert Order.objects.exists()

    def test_a_handle_reads_waits_and_cancels(self):
        job = SendEmail.later_sync(MAIL, delay=timedelta(hours=1))
        assert run_stored_jobs() == 0
        assert job.status_sync() is JobStatus.PENDING
        assert job.cancel_sync() is Cancellation.CANCELLED
        assert job.record_sync().error is None
        done = SendEmail.later_sync(MAIL)
        run_stored_jobs()
        assert done.result_sync(timeout=timedelta(seconds=5)).data.process == os.getpid()

    def test_jobs_of_handlers_run_too_and_in_this_process(self):
        order = Order.objects.create(email="ada@example.com")
        ship, bill = Ship.later_sync({"order": order.pk}), Bill.later_sync({"order": order.pk})
        assert run_stored_jobs() == 4
        order.refresh_from_db()
        assert (order.shipped, order.billed, order.mailed) == (True, True, True)
        assert ship.result_sync().data.process == bill.result_sync().data.process == os.getpid()

    def test_a_failed_handler_raises_its_error(self):
        order = Order.objects.create(email="ada@example.com")
        Ship.later_sync({"order": order.pk, "fails": "transaction"})
        with self.assertRaisesMessage(RuntimeError, "the carrier is on strike"):
            run_stored_jobs()
        order.refresh_from_db()
        assert not order.shipped
        assert [job.job_name for job in StoredJob.objects.all()] == ["Ship"]
        assert StoredAttempt.objects.get().outcome == "failed"

    def test_a_failed_handler_can_be_left_to_its_retries(self):
        order = Order.objects.create(email="ada@example.com")
        job = Bill.later_sync({"order": order.pk, "fails": "no credit"})
        assert run_stored_jobs(raise_errors=False) == 2
        stored = StoredJob.objects.get(pk=job)
        assert (stored.status, stored.attempt_count) == ("pending", 1)
        assert "no credit" in stored.error

    def test_an_expired_job_is_cancelled_and_does_not_run(self):
        before = timezone.now() - timedelta(hours=1)
        job = SendEmail.later_sync(MAIL, scheduled_for=before, expires_after=timedelta(minutes=1))
        assert run_stored_jobs() == 0
        assert StoredJob.objects.get(pk=job).status == "cancelled"

    def test_a_stored_job_has_every_column_of_the_table(self):
        order = Order.objects.create(email="ada@example.com")
        job = Bill.later_sync({"order": order.pk, "fails": "no credit"}, correlation_id="c1")
        run_stored_jobs(raise_errors=False)
        stored = StoredJob.objects.get(pk=job)
        assert {field.attname for field in StoredJob._meta.fields} == {*JOB_COLUMNS}
        assert (stored.correlation_id, stored.cancel_requested, stored.replaced_by) == ("c1", False, None)
        assert stored.error_class
        assert StoredJob.objects.filter(error_class=stored.error_class, worker_started_at__isnull=False).count() == 1

    def test_stored_jobs_are_filtered_by_time(self):
        SendEmail.later_sync(MAIL)
        now = timezone.now()
        assert StoredJob.objects.filter(created_at__lte=now + timedelta(minutes=1)).count() == 1
        assert StoredJob.objects.filter(created_at__lte=now - timedelta(minutes=1)).count() == 0
        assert abs(StoredJob.objects.get().created_at - now) < timedelta(minutes=1)


class InATransaction(JobsOfATest, TestCase):
    async def test_coroutines_use_the_transaction_of_the_test(self):
        job = await SendEmail.later(MAIL)
        assert await StoredJob.objects.aget(pk=job)
        assert (await SendEmail.execute_from_database(job)).ok
        assert (await job.result()).ok

    async def test_the_completion_job_of_a_batch_runs(self):
        order = await Order.objects.acreate(email="ada@example.com")
        batch = await SendEmail.later_many([MAIL], then=Bill.new_job({"order": order.pk}))
        assert await arun_stored_jobs() == 3
        await order.arefresh_from_db()
        assert order.billed
        assert (await batch.counts()).completed == 1


class WithCommits(JobsOfATest, TransactionTestCase):
    pass


class Admin(TestCase):
    LIST = "/admin/server_jobs/storedjob/"

    def setUp(self):
        self.job = SendEmail.later_sync(MAIL, correlation_id="order 5")

    def sign_in(self, *permissions):
        user = User.objects.create_user("grace", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=[f"{one}_storedjob" for one in permissions]))
        self.client.force_login(user)

    def act(self, action):
        data = {"action": action, "_selected_action": [self.job], "post": "yes"}
        return self.client.post(self.LIST, data, follow=True)

    def status(self):
        return StoredJob.objects.get(pk=self.job).status

    def test_jobs_are_filtered_and_found(self):
        self.sign_in("view")
        today = timezone.now().date()
        shown = f"status=pending&job_name=SendEmail&queue=mail&created_at__gte={today - timedelta(days=1)}T00:00:00Z"
        self.assertContains(self.client.get(f"{self.LIST}?{shown}"), self.job)
        for found, others in (
            ("q=order+5", "q=order+6"),
            (f"q={self.job}", "q=1"),
            ("job_name=SendEmail", "job_name=Ship"),
            ("queue=mail", "queue=default"),
            ("status=pending", "status=failed"),
        ):
            self.assertContains(self.client.get(f"{self.LIST}?{found}"), self.job, msg_prefix=found)
            self.assertNotContains(self.client.get(f"{self.LIST}?{others}"), self.job)

    def test_a_page_shows_a_job_without_its_secrets_and_with_its_attempts(self):
        self.sign_in("view")
        order = Order.objects.create(email="ada@example.com")
        self.assertContains(self.client.get(f"{self.LIST}{self.job}/change/"), "ada@example.com")
        self.assertNotContains(self.client.get(f"{self.LIST}{self.job}/change/"), MAIL["subject"])
        failed = Ship.later_sync({"order": order.pk, "fails": "transaction"})
        run_stored_jobs(raise_errors=False)
        page = self.client.get(f"{self.LIST}{failed}/change/")
        self.assertContains(page, "raise RuntimeError")
        self.assertNotContains(page, 'name="_save"')

    def test_a_task_without_a_spec_is_shown_by_its_import_path(self):
        self.sign_in("view")
        with connection.cursor() as cursor:
            cursor.execute("UPDATE jobs SET job_name = 'shop.tasks.greet', queue = 'errands', params = '{}'")
        page = self.client.get(self.LIST)
        for choice in ("?job_name=shop.tasks.greet", "?queue=errands", "?queue=mail"):
            self.assertContains(page, choice)
        self.assertContains(self.client.get(f"{self.LIST}?queue=errands&job_name=shop.tasks.greet"), self.job)
        self.assertContains(self.client.get(f"{self.LIST}{self.job}/change/"), "shop.tasks.greet")

    def test_rows_do_not_choose_how_long_the_filters_are(self):
        self.sign_in("view")
        with mock.patch("server_jobs_django.filters._NEWEST", 2):
            for number in range(4):
                job = SendEmail.later_sync({**MAIL, "subject": str(number)})
                StoredJob.objects.filter(pk=job).update(queue=f"forged-{number}")
            page = self.client.get(self.LIST)
        self.assertContains(page, "?queue=forged-", count=2)

    def test_permissions_allow_actions(self):
        self.sign_in("view")
        self.act("cancel")
        self.act("delete_selected")
        assert self.status() == "pending"
        User.objects.all().delete()
        self.sign_in("change")
        self.assertContains(self.act("cancel"), "1 cancelled")
        self.assertContains(self.act("retry"), "1 retried")
        self.act("delete_selected")
        assert self.status() == "pending"
        User.objects.all().delete()
        self.sign_in("delete", "view")
        self.assertContains(self.act("delete_selected"), "1 deleted")
        assert not StoredJob.objects.exists()
        with connection.cursor() as cursor:
            cursor.execute("SELECT actor, action FROM job_audit ORDER BY id")
            assert cursor.fetchall() == [("user:grace", action) for action in ("cancel", "retry", "delete")]

    def press(self, button, **headers):
        return self.client.post(f"{self.LIST}{self.job}/change/", {button: "x"}, follow=True, headers=headers)

    def test_buttons_on_its_page_cancel_and_retry_a_job(self):
        self.sign_in("change")
        page = self.client.get(f"{self.LIST}{self.job}/change/")
        self.assertContains(page, 'name="_cancel"')
        self.assertNotContains(page, 'name="_retry"')
        page = self.press("_cancel")
        self.assertContains(page, "1 cancelled")
        self.assertContains(page, 'name="_retry"')
        self.assertNotContains(page, 'name="_cancel"')
        assert self.status() == "cancelled"
        self.assertContains(self.press("_retry"), "1 retried")
        assert self.status() == "pending"
        page = self.press("_retry")
        self.assertContains(page, "1 not retried, because only failed and cancelled jobs are")
        assert [one.level_tag for one in page.context["messages"]] == ["warning"]
        history = self.client.get(f"{self.LIST}{self.job}/history/")
        for shown in ("grace", "retry", "cancel"):
            self.assertContains(history, f"<td>{shown}</td>", html=True)

    def test_buttons_need_the_permission_and_a_csrf_token(self):
        self.sign_in("view")
        self.assertNotContains(self.client.get(f"{self.LIST}{self.job}/change/"), 'name="_cancel"')
        assert self.press("_cancel").status_code == 403
        User.objects.all().delete()
        self.client = Client(enforce_csrf_checks=True)
        self.sign_in("change")
        assert self.press("_cancel").status_code == 403
        assert self.status() == "pending"

    def test_nobody_adds_or_edits_a_job(self):
        self.client.force_login(User.objects.create_superuser("admin"))
        assert self.client.get(f"{self.LIST}add/").status_code == 403
        assert self.client.post(f"{self.LIST}{self.job}/change/", {"status": "completed"}).status_code == 403
        assert self.status() == "pending"

    def test_a_running_job_is_not_deleted(self):
        self.client.force_login(User.objects.create_superuser("admin"))
        with connection.cursor() as cursor:
            cursor.execute("UPDATE jobs SET status = 'running', fencing_token = 'x', worker_expires_at = created_at")
        self.assertContains(self.act("delete_selected"), "1 running")
        page = self.client.post(f"{self.LIST}{self.job}/delete/", {"post": "yes"}, follow=True)
        self.assertContains(page, "A running job cannot be deleted")
        assert self.status() == "running"
