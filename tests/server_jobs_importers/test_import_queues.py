"""Parts of the import from other queues that need none of their libraries. `tests/installed` has the others."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import wraps
from itertools import pairwise

import pytest
from server_jobs.domain.cron import next_slot
from server_jobs_importers.found_job import ImportSourceError, LeftOut
from server_jobs_importers.importer import IMPORTERS
from server_jobs_importers.queues.cron_text import Slots, interval_cron
from server_jobs_importers.queues.task_reader import TaskReader, found_jobs, is_a, one_job

START = datetime(2030, 1, 31, 12, 30, tzinfo=UTC)


@pytest.mark.parametrize("kind", ["celery", "rq", "arq", "dramatiq", "huey"])
def test_a_module_without_tasks_is_refused_with_an_example(kind: str) -> None:
    importer = IMPORTERS.find(kind)
    assert importer is not None
    with pytest.raises(ImportSourceError, match=r"^keyword .*name"):
        importer.find(["keyword"], [])


@pytest.mark.parametrize(
    ("slots", "cron"),
    [
        (Slots(), "* * * * *"),
        (Slots(minutes={0, 15, 30, 45}, hours=[6]), "*/15 6 * * *"),
        (Slots(minutes=[0], hours={8, 9, 10}, weekdays={0, 6}), "0 8-10 * * 0,6"),
        (Slots(minutes=[7, 50], days={1, 11, 21, 31}, months=[2, 12]), "7,50 * */10 2,12 *"),
        (Slots(days=[1], weekdays=[1]), None),
    ],
)
def test_sets_of_numbers_become_a_cron_expression(slots: Slots, cron: str | None) -> None:
    assert slots.cron == cron


@pytest.mark.parametrize("minutes", [1, 5, 20, 30, 60, 120, 720, 1440, 10080])
def test_an_interval_that_divides_its_hour_or_day_fires_at_this_interval(minutes: int) -> None:
    expression = interval_cron(timedelta(minutes=minutes))
    assert expression is not None
    times = [START]
    for _ in range(40):
        times.append(next_slot(expression, "UTC", times[-1]))

    assert {later - earlier for earlier, later in pairwise(times[1:])} == {timedelta(minutes=minutes)}


@pytest.mark.parametrize("seconds", [0, 45, 90, 7 * 60, 90 * 60, 5 * 3600, 2 * 86400])
def test_an_interval_that_no_cron_expression_has_is_none(seconds: int) -> None:
    assert interval_cron(timedelta(seconds=seconds)) is None


def copies(to: str, *rest: str, count: int = 1, **more: int) -> None:
    """Send copies."""


def test_arguments_of_a_schedule_become_params_with_names() -> None:
    reader = TaskReader(copies)
    reader.schedule("every day", "0 0 * * *", "UTC", ["ada"], {"count": 2, "extra": 3})
    reader.schedule("every day", "0 1 * * *", "UTC", ["ada", "bob"])
    reader.schedule("every day", "0 2 * * *", "UTC", [object()])
    reader.schedule("every day", "0 3 * * *", "UTC", ["bob"])
    (job,) = found_jobs([reader.job("copies")]).jobs

    assert [(one.name, one.params) for one in job.schedules] == [
        ("every-day", '{"to": "ada", "count": 2, "extra": 3}'),
        ("every-day-2", '{"to": "bob"}'),
    ]
    assert [part.what for part in job.left_out].count("schedule 'every day'") == 2


def test_a_schedule_whose_arguments_do_not_fit_the_type_hints_is_listed() -> None:
    reader = TaskReader(copies)
    reader.schedule("wrong", "0 0 * * *", "UTC", ["ada"], {"count": "x"})
    reader.schedule("right", "0 1 * * *", "UTC", ["ada"])
    (job,) = found_jobs([reader.job("copies")]).jobs

    assert [one.name for one in job.schedules] == ["right"]
    assert [part.what for part in job.left_out if "wrong" in part.what] == ["schedule 'wrong'"]


def test_a_value_that_a_job_cannot_have_is_listed() -> None:
    reader = TaskReader(copies)
    reader.queue("mail:low")
    reader.attempts(None, "max_retries=None")
    reader.carry("priority=500", priority=500)
    (job,) = found_jobs([reader.job("copies")]).jobs

    assert (job.options.queue, job.options.max_attempts, job.options.priority) == ("mail-low", 10_000, 0)
    assert {"queue 'mail:low'", "max_retries=None", "priority=500"} <= {part.what for part in job.left_out}


def unreadable(to: Missing) -> None:  # type: ignore[name-defined]  # noqa: F821
    """Send."""


def test_a_task_with_unreadable_hints_does_not_stop_the_others() -> None:
    found = found_jobs([TaskReader(unreadable).job("unreadable"), TaskReader(copies).job("copies")])

    assert [job.name for job in found.jobs] == ["copies"]
    assert [part.what for part in found.failed] == ["job unreadable"]
    assert "Missing" in found.failed[0].why


def test_an_option_that_no_reader_knows_is_listed() -> None:
    reader = TaskReader(copies)
    reader.rest({"unheard_of": 3, "callback": print, "serializer": "pickle"}, {"serializer": "params are JSON"})
    (job,) = found_jobs([reader.job("copies")]).jobs

    parts = [(part.what, part.why, part.advice) for part in job.left_out if "not carried over" in part.why]
    why, usual = "not carried over: a spec has no such option", "do it in the handler or in middleware, if it matters"
    assert parts == [
        ("callback", why, usual),
        ("serializer=pickle", why, "params are JSON"),
        ("unheard_of=3", why, usual),
    ]


def test_a_priority_outside_of_the_range_and_an_impossible_retention_are_listed() -> None:
    reader = TaskReader(copies)
    reader.priority(500, "priority=500")
    reader.retain("result_ttl=-1", completed=timedelta(seconds=-1))
    (job,) = found_jobs([reader.job("copies")]).jobs

    assert (job.options.priority, job.options.retention.completed) == (100, None)
    assert {"priority=500", "result_ttl=-1"} <= {part.what for part in job.left_out}


def test_a_decorator_around_a_task_is_listed() -> None:
    @wraps(copies)
    def locked(to: str) -> None:
        copies(to)

    (job,) = found_jobs([TaskReader(locked).job("copies")]).jobs

    assert [part.what for part in job.left_out if part.what.startswith("decorator")] == [
        "decorator test_a_decorator_around_a_task_is_listed"
    ]


def test_a_task_that_raises_anything_does_not_stop_the_others() -> None:
    class Task:
        name = "shop.send"

        @property
        def queue(self) -> str:
            raise SystemExit(3)

    @one_job
    def read(task: Task) -> LeftOut:
        return LeftOut(task.queue, "", "", "")

    assert read(Task()) == LeftOut("shop.send", "job", "SystemExit: 3", "change it, then import it")


def test_a_proxy_without_an_object_is_no_task() -> None:
    class Proxy:
        @property  # type: ignore[misc]
        def __class__(self) -> type:  # pyright: ignore[reportIncompatibleMethodOverride, reportIncompatibleVariableOverride]
            raise RuntimeError("working outside of application context")

    assert not is_a(Proxy(), "celery.app.base.Celery")
