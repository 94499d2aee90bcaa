"""Tests as a user writes them. `tests/installed/test_django_tasks.py` runs them on each database."""

import json
from datetime import timedelta

from django.db import transaction
from django.dispatch import Signal
from django.tasks import TaskResultStatus, default_task_backend, task_backends
from django.tasks.exceptions import InvalidTask, TaskResultDoesNotExist
from django.tasks.signals import task_enqueued, task_finished, task_started
from django.test import TestCase, TransactionTestCase
from django.utils import timezone
from server_jobs import Cancellation, InvalidParamsError
from server_jobs.testing import InMemoryJobs
from server_jobs_django.models import StoredJob
from server_jobs_django.tasks import task as task_with_job
from server_jobs_django.test import arun_stored_jobs, run_stored_jobs

from generated.jobs import SendEmail
from generated.registry import registry

from .tasks import calls, describe, note, note_async, send_email, ship_otherwise


class TasksOfATest:
    def setUp(self):
        calls.clear()
        self.sent = []
        for signal in (task_enqueued, task_started, task_finished):
            signal.connect(self.receive)
            self.addCleanup(signal.disconnect, self.receive)

    def receive(self, sender, task_result, signal: Signal, **kwargs):
        self.sent.append((signal, task_result.status))

    def test_a_task_waits_for_a_worker_and_has_a_result(self):
        result = note.enqueue(1, fails=None)
        assert (result.status, result.attempts, result.started_at) == (TaskResultStatus.READY, 0, None)
        assert result == note.get_result(result.id)
        assert run_stored_jobs() == 1
        result.refresh()
        assert result.return_value == {"value": 1, "in_main_thread": True}
        assert (result.status, result.attempts, result.errors) == (TaskResultStatus.SUCCESSFUL, 1, [])
        assert result.enqueued_at <= result.started_at == result.last_attempted_at <= result.finished_at
        assert self.sent == [
            (task_enqueued, TaskResultStatus.READY),
            (task_started, TaskResultStatus.RUNNING),
            (task_finished, TaskResultStatus.SUCCESSFUL),
        ]

    def test_a_task_rolls_back_with_the_transaction(self):
        with transaction.atomic():
            result = note.enqueue(1)
            transaction.set_rollback(True)
        with self.assertRaisesMessage(TaskResultDoesNotExist, result.id):
            default_task_backend.get_result(result.id)
        assert run_stored_jobs() == 0

    def test_tasks_run_by_priority_when_they_are_due(self):
        for priority in (0, -100, 100, -99, 99):
            note.using(priority=priority, queue_name="slow").enqueue(priority)
        due = timezone.now() + timedelta(hours=1)
        late = note.using(run_after=due).enqueue("late")
        assert late.task.run_after == due.replace(microsecond=due.microsecond // 1000 * 1000)
        assert run_stored_jobs() == 5
        assert calls == [100, 99, 0, -99, -100]
        assert {job.queue for job in StoredJob.objects.exclude(pk=late.id)} == {"slow"}

    def test_what_cannot_be_stored_is_refused_before_the_write(self):
        for call, error, message in (
            (lambda: note.enqueue(timezone.now()), TypeError, "Unsupported type"),
            (lambda: note.enqueue(float("nan")), InvalidParamsError, "/args/0"),
            (lambda: note.using(queue_name="unknown").enqueue(1), InvalidTask, "Queue 'unknown' is not valid"),
            (lambda: send_email.enqueue("nobody", subject="Hello"), InvalidParamsError, "/to"),
            (lambda: send_email.enqueue("a@example.com"), InvalidParamsError, "/subject"),
            (
                lambda: send_email.enqueue("a@example.com", to="b@example.com"),
                TypeError,
                "multiple values for argument 'to'",
            ),
            (lambda: send_email.enqueue(*range(5)), TypeError, "takes 4 arguments, not 5"),
            (lambda: ship_otherwise.enqueue(), InvalidTask, "handle = ship_otherwise.handler"),
            (lambda: task_with_job(job="SendMail")(note.func), InvalidTask, "SendMail"),
            (lambda: note.handler, InvalidTask, "note has no spec"),
        ):
            with transaction.atomic(), self.assertRaisesMessage(error, message):
                call()
        assert not StoredJob.objects.exists()
        assert self.sent == []

    def test_a_task_with_a_spec_is_a_job_of_it(self):
        result = send_email.using(priority=5).enqueue("ada@example.com", subject="Hello")
        stored = StoredJob.objects.get()
        assert (stored.job_name, stored.queue, stored.priority) == ("SendEmail", "mail", 5)
        assert send_email.enqueue("ada@example.com", "Hello").id == result.id  # by the unique key of the spec
        SendEmail.later_sync({"to": "grace@example.com", "subject": "Hello", "copies": 2})
        assert run_stored_jobs() == 2
        result.refresh()
        assert result.return_value == {"sent": ["ada@example.com"]}
        assert result.kwargs == {"to": "ada@example.com", "subject": "Hello", "copies": 1}
        other = StoredJob.objects.exclude(pk=result.id).get()
        assert send_email.get_result(other.id).return_value == {"sent": ["grace@example.com"] * 2}

    def test_redacted_params_stay_out_of_errors_and_logs(self):
        result = send_email.enqueue("ada@example.com", subject="the merger", body="fails")
        with self.assertLogs(level="INFO") as logs:
            run_stored_jobs(raise_errors=False)
        result.refresh()
        (error,) = result.errors
        assert error.exception_class is ValueError
        assert "no mail about" in error.traceback
        assert "the merger" not in error.traceback + "".join(logs.output)

    def test_a_failed_task_is_retried_only_by_option(self):
        once, twice = note.enqueue(1, fails="no"), note.using(backend="retried").enqueue(2, fails="no")
        with self.assertRaisesMessage(ValueError, "no"):
            run_stored_jobs()
        once.refresh()
        twice.refresh()
        assert (once.status, once.attempts, len(once.errors)) == (TaskResultStatus.FAILED, 1, 1)
        assert (twice.status, twice.attempts, len(twice.errors)) == (TaskResultStatus.READY, 1, 1)
        assert once.errors[0].traceback.endswith("ValueError: no\n")
        assert [status for signal, status in self.sent if signal is task_finished] == [TaskResultStatus.FAILED]
        with self.assertRaisesMessage(TaskResultDoesNotExist, "belongs to the task backend 'retried'"):
            default_task_backend.get_result(twice.id)
        StoredJob.objects.filter(pk=twice.id).update(scheduled_for=timezone.now() - timedelta(hours=1))
        run_stored_jobs(raise_errors=False)
        twice.refresh()
        assert (twice.status, twice.attempts, len(twice.errors)) == (TaskResultStatus.FAILED, 2, 2)

    def test_a_cancelled_task_has_failed(self):
        result = send_email.enqueue("ada@example.com", subject="Hello")
        assert SendEmail.handle(result.id).cancel_sync() is Cancellation.CANCELLED
        result.refresh()
        assert result.status == TaskResultStatus.FAILED

    def test_a_task_sees_its_context(self):
        result = describe.enqueue()
        run_stored_jobs()
        result.refresh()
        assert result.return_value == [result.id, 1, "RUNNING"]

    def test_jobs_in_memory_run_tasks_too(self):
        with self.assertNumQueries(0), InMemoryJobs(registry) as jobs:
            result, sent = note.enqueue(1), send_email.enqueue("ada@example.com", subject="Hello")
            jobs.run_jobs()
            result.refresh()
            sent.refresh()
        assert (result.return_value["value"], sent.return_value) == (1, {"sent": ["ada@example.com"]})

    def test_an_eager_backend_runs_a_task_at_once(self):
        result = note.using(backend="eager").enqueue(1)
        assert result.return_value == {"value": 1, "in_main_thread": True}
        assert task_backends["eager"].get_result(result.id) == result
        later = note.using(backend="eager", run_after=timezone.now() + timedelta(hours=1)).enqueue(2)
        assert later.status == TaskResultStatus.READY


class InATransaction(TasksOfATest, TestCase):
    async def test_coroutines_use_the_transaction_of_the_test(self):
        result = await note_async.aenqueue("a")
        assert await arun_stored_jobs() == 1
        await result.arefresh()
        assert result.return_value["value"] == "a"
        assert await note_async.aget_result(result.id) == result
        eager = await send_email.using(backend="eager").aenqueue("ada@example.com", subject="Hello")
        assert eager.return_value == {"sent": ["ada@example.com"]}
        assert json.dumps(eager.kwargs)


class WithCommits(TasksOfATest, TransactionTestCase):
    pass
