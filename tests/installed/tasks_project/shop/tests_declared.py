"""Only declared tasks run: rows as a role with INSERT writes them, and calls by name."""

import json
import sys
from importlib import import_module
from unittest import mock

from django.db import connection
from django.tasks import default_task_backend, task, task_backends
from django.tasks.exceptions import InvalidTask, TaskResultDoesNotExist
from django.test import TestCase
from server_jobs import JobNotOfferedError, ProjectError
from server_jobs_django.models import StoredJob
from server_jobs_django.project import complete_registry
from server_jobs_django.tasks import task as task_with_job
from server_jobs_django.tasks.declared import load_tasks, stated_queues
from server_jobs_django.test import run_stored_jobs

from generated.registry import registry

from .tasks import DeclinedError, calls, decline, note, ship

NAMES = (
    "antigravity.fly",
    "venv.main",
    "venv.__main__.main",
    "os.system",
    "shop.tasks.note.func",
    "shop.tasks.note.using",
    "shop.tasks.calls.append",
    "shop.tasks.threading.Thread",
    "shop.tasks.plain",
    "shop.tasks.note_",
    "shop.tasks.note ",
    "Shop.tasks.note",
    "shop.hidden.unseen",
    "django.tasks",
    "DjangoTask",
)


def forge(result, **columns):
    """Write a row as a hostile role with INSERT would."""
    with connection.cursor() as cursor:
        for name, value in columns.items():
            cursor.execute(f"UPDATE jobs SET {name} = %s WHERE id = %s", [value, result.id])


class DeclaredTasks(TestCase):
    def setUp(self):
        calls.clear()
        sys.modules.pop("shop.hidden", None)

    def test_a_row_with_another_name_neither_runs_nor_imports_anything(self):
        complete_registry()
        before = set(sys.modules)
        results = [note.enqueue("forged") for _ in NAMES]
        for result, name in zip(results, NAMES, strict=True):
            forge(result, job_name=name)
        note.enqueue("real")
        assert run_stored_jobs() == 1
        assert calls == ["real"]
        for result in results:
            with self.assertRaisesMessage(TaskResultDoesNotExist, result.id):
                default_task_backend.get_result(result.id)
        assert not {name.partition(".")[0] for name in set(sys.modules) - before} & {"antigravity", "venv"}
        assert "shop.hidden" not in sys.modules
        assert StoredJob.objects.filter(status="pending").count() == len(NAMES)

    def test_the_params_of_a_row_name_no_code(self):
        for params, called in (
            ({"backend": "default", "task": "antigravity.fly", "args": [1]}, [1]),
            ({"backend": "nowhere", "args": [2]}, []),
            ({"backend": "elsewhere", "args": [3]}, []),
            ({"backend": "antigravity", "args": [4]}, []),
            ({"backend": "default", "args": [5], "kwargs": {"value": 6}}, []),
            ({"backend": "default", "args": {"0": 7}}, []),
            ({"backend": "default", "kwargs": {"context": 8, "value": 8}}, []),
            ({"args": [9]}, []),
            ([10], []),
        ):
            result = note.enqueue("forged")
            forge(result, params=json.dumps(params))
            other = {"BACKEND": "django.tasks.backends.dummy.DummyBackend"}
            with mock.patch.dict(task_backends.settings, {"elsewhere": other}):
                run_stored_jobs(raise_errors=False)
            assert calls == called, params
            assert StoredJob.objects.get(pk=result.id).status == ("completed" if called else "failed"), params
            calls.clear()
            if not called and "backend" not in params:
                with self.assertRaisesMessage(TaskResultDoesNotExist, "do not fit"):
                    default_task_backend.get_result(result.id)
        assert "antigravity" not in sys.modules

    def test_the_message_of_an_error_names_no_class(self):
        for fails, raised in (
            ("no\nantigravity.ValueError: no", ValueError),
            ("no\nvenv.ValueError", ValueError),
            ("no\nshop.tasks.note.ValueError", ValueError),
            ("no\njson.decoder.ValueError", ValueError),
        ):
            result = note.enqueue("x", fails=fails)
            run_stored_jobs(raise_errors=False)
            result.refresh()
            assert result.errors[0].exception_class is raised, fails
        assert not {"antigravity", "venv"} & set(sys.modules)

    def test_sabotage_without_the_check_the_message_of_an_error_imports_a_module(self):
        result = note.enqueue("x", fails="no\nthis.ValueError: no")
        with mock.patch("server_jobs_django.tasks.results._is_exception", return_value=True):
            run_stored_jobs(raise_errors=False)
            result.refresh()
        with self.assertRaisesMessage(ImportError, 'Module "this" does not define'):
            _ = result.errors[0].exception_class

    def test_the_class_of_an_error_of_the_project_is_found(self):
        result = decline.enqueue("ada")
        run_stored_jobs(raise_errors=False)
        result.refresh()
        assert result.errors[0].exception_class is DeclinedError

    def test_the_backend_that_a_row_names_is_explained(self):
        result = note.enqueue(1)
        forge(result, params='{"backend": "nowhere"}')
        with self.assertRaisesMessage(Exception, "TASKS has no backend 'nowhere'"):
            run_stored_jobs()

    def test_a_task_has_a_job_that_only_its_call_enqueues(self):
        job = registry.find("shop.tasks.note").job
        params = {"backend": "default", "args": ["forged"]}
        for call in (job.later_sync, job.new_job):
            with self.assertRaisesMessage(JobNotOfferedError, "with note.enqueue(...)"):
                call(params)
        assert {one.job_name for one in registry.offered()} == {"SendEmail", "Ship"}
        with self.assertRaisesMessage(JobNotOfferedError, "shop.tasks.note"):
            job.schedule("daily").add_sync(cron="* * * * *", params=params)
        assert not StoredJob.objects.exists()

    def test_the_queue_of_a_task_is_the_queue_of_its_job(self):
        paying = task(queue_name="slow")(pay)
        assert registry.find(f"{__name__}.pay").job.options.queue == "slow"
        assert StoredJob.objects.get(pk=paying.enqueue().id).queue == "slow"
        assert StoredJob.objects.get(pk=paying.using(queue_name="default").enqueue().id).queue == "default"
        assert registry.find(f"{__name__}.pay").job.options.queue == "slow"

    def test_a_task_with_a_spec_has_the_queue_of_the_spec(self):
        stated = task_with_job(job="Ship", takes_context=True, queue_name="slow")
        with mock.patch.dict("server_jobs_django.tasks.declared._tasks"):
            shipping = stated(shipping_elsewhere)
            with self.assertRaisesMessage(
                InvalidTask, "states the queue 'slow', and its spec Ship the queue 'default'"
            ):
                shipping.enqueue()
        assert ship.using(queue_name="slow").enqueue().task.queue_name == "slow"

    def test_two_tasks_of_one_function_are_refused_unless_workers_run_both_alike(self):
        task(count)
        other = task(count, takes_context=True)
        with self.assertRaisesMessage(InvalidTask, "There are two tasks"):
            other.enqueue()
        again = task(backend="retried")(count)
        run = again.enqueue(1)
        assert StoredJob.objects.get(pk=run.id).max_attempts == 2
        run_stored_jobs()
        assert task_backends["retried"].get_result(run.id).return_value == 1

    def test_names_that_no_module_has_are_refused(self):
        with self.assertRaisesMessage(InvalidTask, "Define it with `def`"):
            task(anonymous)
        with self.assertRaisesMessage(InvalidTask, "at most 200 characters"):
            task(long_named)

    def test_a_task_of_another_backend_is_refused(self):
        other = {"BACKEND": "django.tasks.backends.immediate.ImmediateBackend"}
        with mock.patch.dict(task_backends.settings, {"other": other}):
            foreign = task(backend="other")(foreign_function)
            with self.assertRaisesMessage(InvalidTask, "Declare it with @task(backend='default')"):
                foreign.using(backend="default").enqueue()

    def test_a_task_that_no_worker_imports_is_noted_once(self):
        hidden = import_module("shop.hidden")
        with self.assertLogs("server_jobs", "WARNING") as logs:
            hidden.unseen.enqueue()
            hidden.unseen.enqueue()
        (line,) = logs.output
        assert "no worker runs the task shop.hidden.unseen unless it imports shop.hidden" in line
        with self.assertNoLogs("server_jobs", "WARNING"):
            note.enqueue(1)


class Modules(TestCase):
    def named(self, *modules):
        return mock.patch.object(task_backends["default"], "options", {"modules": modules})

    def test_workers_import_the_named_modules(self):
        sys.modules.pop("shop.hidden", None)
        with self.named("shop.tasks", "shop.hidden"):
            load_tasks()
        assert "shop.hidden" in sys.modules
        assert registry.has("shop.hidden.unseen")

    def test_a_module_that_cannot_be_imported_is_named(self):
        with (
            self.named("shop.nowhere"),
            self.assertRaisesMessage(ProjectError, "the module shop.nowhere, which may declare tasks, cannot be"),
        ):
            load_tasks()

    def test_the_admin_offers_the_queues_of_the_settings(self):
        assert stated_queues() == {"default", "slow"}

    def test_modules_are_a_list(self):
        with (
            mock.patch.object(task_backends["default"], "options", {"modules": "shop.tasks"}),
            self.assertRaisesMessage(ProjectError, "modules must be a list of names"),
        ):
            load_tasks()


def pay():
    return "paid"


def count(context):
    return context


def shipping_elsewhere(context):
    return {"process": 0}


def foreign_function():
    pass


def long_named():
    pass


long_named.__qualname__ = "x" * 201
anonymous = lambda: None  # noqa: E731
