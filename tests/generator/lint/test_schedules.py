"""The schedules of a job in `x-job`."""

# ruff: noqa: E501  # a case and its whole message stand on one line, like the rows of a table

from __future__ import annotations

from pathlib import Path

import pytest

from tests.generator.spec_projects import a_spec, an_object, problems

from .schemas import TEXT


def problem_of(root: Path, options: object) -> str:
    """Return the place and the message of the only problem of a spec with these options."""
    (line,) = problems(root, {"case.json": a_spec(an_object(to=TEXT), **{"x-job": options})})
    return line.partition("/x-job")[2]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"schedules": {}}, "/schedules must be a list of schedules, not {}"),
        ({"schedules": [3]}, "/schedules/0 must be an object with name, cron, timezone, misfire, misfireLimit or params, not 3"),
        ({"status": "retired", "schedules": [{"name": "a", "cron": "* * * * *", "params": {"to": "x"}}]}, "/schedules a retired job is not scheduled; remove them"),
    ],
)  # fmt: skip
def test_schedules_are_a_list_of_objects_of_a_job_that_runs(tmp_path: Path, options: object, expected: str) -> None:
    assert problem_of(tmp_path, options) == expected


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ({"name": None}, "/name must be a name "),
        ({"cron": "0 9 * *"}, "/cron cron expression '0 9 * *' has 4 fields, not 5"),
        ({"cron": "@daily"}, "/cron cron expression '@daily': aliases are not accepted; write '0 0 * * *'"),
        ({"cron": "0 0 0 1 1 *"}, "/cron cron expression '0 0 0 1 1 *' has 6 fields, not 5"),
        ({"cron": "0 0 30 2 *"}, "/cron "),
        ({"cron": 5}, '/cron must be a cron expression such as "0 9 * * MON", not 5'),
        ({"timezone": "Europe/Berln"}, "/timezone unknown time zone 'Europe/Berln'; did you mean 'Europe/Berlin'"),
        ({"timezone": None}, '/timezone must be an IANA time zone such as "Europe/Berlin", not null'),
        ({"misfireLimit": 24, "misfire": "fire_al"}, '/misfire must be skip, fire_once or fire_all, not "fire_al" (did you'),
        ({"misfireLimit": 24}, '/misfireLimit works only with "misfire": "fire_all"'),
        ({"misfireLimit": 24, "misfire": "skip"}, '/misfireLimit works only with "misfire": "fire_all"'),
        ({"misfireLimit": 0, "misfire": "fire_all"}, "/misfireLimit must be a whole number from 1 to 1000, not 0"),
        ({"misfireLimit": 1001, "misfire": "fire_all"}, "/misfireLimit must be a whole number from 1 to 1000, not 1001"),
        ({"misfireLimit": 2.5, "misfire": "fire_all"}, "/misfireLimit must be a whole number from 1 to 1000, not 2.5"),
        ({"misfireLimit": None, "misfire": "fire_all"}, "/misfireLimit must be a whole number from 1 to 1000, not null"),
        ({"misfire": "fire"}, '/misfire must be skip, fire_once or fire_all, not "fire" (did you mean "fire_'),
        ({"params": {"to": "a", "To": "b"}}, '/params/To params of this schedule do not fit the schema of params: is not allowed here (did you mean "/to"?)'),
        ({"params": {"to": 3}}, "/params/to params of this schedule do not fit the schema of params: must be a string, not 3"),
        ({"params": {}}, '/params params of this schedule do not fit the schema of params: lacks the property "to"'),
        ({"params": {"to": {"$slot": "day"}}}, '/params $slot must be "date" or "date-time", not "day"'),
        ({"params": {"to": {"$slot": {"$slot": "date"}}}}, '/params $slot must be "date" or "date-time", not "2026-01-31"'),
        ({"params": {"to": {"$slot": "date", "x": 1}}}, '/params/to params of this schedule do not fit the schema of params: must be a string, not {'),
        ({"params": {"to": [{"$slot": "date"}]}}, '/params/to params of this schedule do not fit the schema of params: must be a string, not ["2026-01-31"]'),
        ({"zone": "UTC"}, '/zone "zone" is not a key of a schedule'),
    ],
)  # fmt: skip
def test_schedules_that_are_refused(tmp_path: Path, schedule: dict[str, object], expected: str) -> None:
    right: dict[str, object] = {"name": "n", "cron": "0 9 * * *", "params": {"to": "a"}}
    spec = a_spec(an_object(to=TEXT) | {"required": ["to"]}, **{"x-job": {"schedules": [right | schedule]}})
    (line,) = problems(tmp_path, {"case.json": spec})
    assert line.partition("/x-job/schedules/0")[2].startswith(expected)


def test_a_schedule_needs_a_unique_name_a_cron_expression_and_valid_params(tmp_path: Path) -> None:
    spec = a_spec(an_object(to=TEXT) | {"required": ["to"]}, **{"x-job": {"schedules": [{}]}})
    messages = [line.partition("/x-job/schedules/0 ")[2] for line in problems(tmp_path, {"case.json": spec})]
    assert messages == [
        'a schedule must state "cron"',
        'a schedule must state "name"',
        'params of this schedule do not fit the schema of params: lacks the property "to"',
    ]
    twice = {"name": "n", "cron": "0 9 * * *"}
    (line,) = problems(tmp_path, {"case.json": a_spec(**{"x-job": {"schedules": [twice, twice]}})})
    assert line.endswith('/x-job/schedules/1/name a schedule named "n" stands above; rename one of them')


@pytest.mark.parametrize(
    ("form", "wanted", "refusals"),
    [
        ("date", "date", []),
        ("date-time", "date-time", []),
        ("date-time", "date", ['must be of the format date, not "2026-01-31T12:00:00+00:00"']),
    ],
)
def test_params_of_a_schedule_that_take_the_slot_fit_their_format(
    tmp_path: Path, form: str, wanted: str, refusals: list[str]
) -> None:
    schedule = {"name": "n", "cron": "0 9 * * *", "params": {"day": {"$slot": form}}}
    spec = a_spec(an_object(day=TEXT | {"format": wanted}), **{"x-job": {"schedules": [schedule]}})
    found = problems(tmp_path, {"case.json": spec})
    assert [line.partition("schema of params: ")[2] for line in found] == refusals
