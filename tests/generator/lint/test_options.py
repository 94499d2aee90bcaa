"""The options of a job in `x-job`."""

# ruff: noqa: E501  # a case and its whole message stand on one line, like the rows of a table

from __future__ import annotations

from pathlib import Path

import pytest

from tests.generator.spec_projects import a_spec, an_object, problems

from .schemas import TEXT


def problem_of(root: Path, options: object) -> str:
    """Return the place and the message of the only problem of a spec with these options."""
    address = {"anyOf": [{"$ref": "#/$defs/Address"}, {"type": "null"}]}
    definitions = {"Address": an_object(street=TEXT)}
    spec = a_spec(an_object(to=TEXT, address=address), **{"x-job": options, "$defs": definitions})
    (line,) = problems(root, {"case.json": spec})
    return line.partition("/x-job")[2]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (3, " must be an object with version, queue, priority, maxAttempts, timeout, expiresAfter, runIn, retry, unique, concurrency, rate, shardBy, retention, redact, status, compat, reserved, view, indexes or schedules, not 3"),
        ({"maxAttemps": 3}, '/maxAttemps "maxAttemps" is not a key of x-job (did you mean "maxAttempts"?)'),
        ({"expires": "PT1M"}, '/expires "expires" is not a key of x-job (did you mean "expiresAfter"?)'),
        ({"retries": 3}, '/retries "retries" is not a key of x-job (did you mean "maxAttempts"?)'),
        ({"cron": "* * * * *"}, '/cron "cron" is not a key of x-job (did you mean "schedules"?)'),
        ({"Max_Attempts": 3}, '/Max_Attempts "Max_Attempts" is not a key of x-job (did you mean "maxAttempts"?)'),
    ],
)  # fmt: skip
def test_an_option_that_no_job_has_is_refused(tmp_path: Path, options: object, expected: str) -> None:
    assert problem_of(tmp_path, options) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"version": 0}, "/version must be a whole number from 1 to 2147483647, not 0"),
        ({"version": True}, "/version must be a whole number from 1 to 2147483647, not true"),
        ({"version": 1.0}, "/version must be a whole number from 1 to 2147483647, not 1.0"),
        ({"queue": "a b"}, "/queue must be a name (1 to 63 of A-Z, a-z, 0-9, '_', '.' and '-', the first a letter or a digit), not \"a b\" (did you mean \"a-b\"?)"),
        ({"priority": 101}, "/priority must be a whole number from -100 to 100, not 101"),
        ({"maxAttempts": 0}, "/maxAttempts must be a whole number from 1 to 10000, not 0"),
    ],
)  # fmt: skip
def test_a_version_a_queue_a_priority_and_attempts_have_their_range(
    tmp_path: Path, options: object, expected: str
) -> None:
    assert problem_of(tmp_path, options) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"timeout": 30}, "/timeout must be an ISO 8601 duration of weeks, days, hours, minutes and seconds such as PT30S, up to 365 days, not 30 (did you mean \"PT30S\"?)"),
        ({"timeout": "P1M"}, '/timeout must be an ISO 8601 duration of weeks, days, hours, minutes and seconds such as PT30S, up to 365 days, not "P1M"'),
        ({"timeout": "P366D"}, '/timeout must be an ISO 8601 duration of weeks, days, hours, minutes and seconds such as PT30S, up to 365 days, not "P366D"'),
        ({"timeout": "PT0S"}, "/timeout must be longer than zero; leave timeout out for no bound"),
        ({"expiresAfter": "PT0.0001S"}, '/expiresAfter must be at least PT0.001S, not "PT0.0001S"; leave expiresAfter out for no bound'),
    ],
)  # fmt: skip
def test_a_duration_is_written_in_iso_8601_and_has_its_range(tmp_path: Path, options: object, expected: str) -> None:
    assert problem_of(tmp_path, options) == expected


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        *((30, "PT30S"), (1.5, "PT1.5S"), ("30", "PT30S"), ("30s", "PT30S"), ("5 minutes", "PT5M"), ("1h30m", "PT1H30M")),
        *(("2 weeks", "P2W"), ("1w 2d", "P9D"), ("1w3h", "P7DT3H"), ("1d 2h", "P1DT2H"), ("pt30s", "PT30S"), ("P1H", "PT1H"), ("PT1D", "P1D")),
        *((value, None) for value in ("P1M", "P1Y", "PT1H30", "1:00", "500ms", "-PT5S", "PT", "P", "", None, True, "9" * 20)),
    ],
)  # fmt: skip
def test_a_duration_is_shown_in_iso_8601(tmp_path: Path, written: object, meant: str | None) -> None:
    (line,) = problems(tmp_path, {"case.json": a_spec(**{"x-job": {"timeout": written}})})
    assert line.partition(" (did you mean ")[2] == ("" if meant is None else f'"{meant}"?)')


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"runIn": "proces"}, '/runIn must be worker, process or kubernetes, not "proces" (did you mean "process"?)'),
        ({"image": "shop:1"}, '/image works only with "runIn": "kubernetes"'),
        ({"runIn": "process", "resources": {}}, '/resources works only with "runIn": "kubernetes"'),
        ({"runIn": "kubernetes", "imge": "shop:1"}, '/imge "imge" is not a key of x-job (did you mean "image"?)'),
    ],
)  # fmt: skip
def test_an_option_of_a_pod_needs_a_job_that_runs_in_pods(tmp_path: Path, options: object, expected: str) -> None:
    assert problem_of(tmp_path, options) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"runIn": "kubernetes", "image": "shop jobs"}, '/image must be the name of a container image such as "ghcr.io/shop/jobs:1.4", not "shop jobs"'),
        ({"runIn": "kubernetes", "resources": {"limit": {}}}, '/resources/limit "limit" is not a key of resources (did you mean "limits"?)'),
        ({"runIn": "kubernetes", "resources": {"limits": {"memory": "2 GB"}}}, '/resources/limits/memory must be a text with a quantity such as "500m", "2" or "1.5Gi", not "2 GB"'),
        ({"runIn": "kubernetes", "resources": {"requests": {"cpu": 1}}}, '/resources/requests/cpu must be a text with a quantity such as "500m", "2" or "1.5Gi", not 1'),
        ({"runIn": "kubernetes", "resources": {"requests": {"cpu cores": "1"}}}, '/resources/requests/cpu cores "cpu cores" must be the name of a resource: cpu, memory, ephemeral-storage, or a name such as nvidia.com/gpu'),
    ],
)  # fmt: skip
def test_the_image_and_the_resources_of_a_pod_have_their_form(tmp_path: Path, options: object, expected: str) -> None:
    assert problem_of(tmp_path, options) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"retry": {"initial": "PT20M"}}, "/retry/initial initial PT20M is longer than max, which is PT10M if it is not stated; no delay may be longer than max"),
        ({"retry": {"max": "PT1S"}}, "/retry/max initial, which is PT2S if it is not stated, is longer than max PT1S; no delay may be longer than max"),
        ({"retry": {"initial": "PT9S", "max": "PT8S"}}, "/retry/initial initial PT9S is longer than max PT8S; no delay may be longer than max"),
    ],
)  # fmt: skip
def test_no_delay_of_a_retry_is_longer_than_its_maximum(tmp_path: Path, options: object, expected: str) -> None:
    assert problem_of(tmp_path, options) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"retry": {"backof": "fixed"}}, '/retry/backof "backof" is not a key of retry (did you mean "backoff"?)'),
        ({"retry": {"backoff": "linaer"}}, '/retry/backoff must be exponential, linear or fixed, not "linaer" (did you mean "linear"?)'),
        ({"retry": {"jitter": 2}}, "/retry/jitter must be a number from 0 to 1, not 2"),
    ],
)  # fmt: skip
def test_the_options_of_a_retry_have_their_form(tmp_path: Path, options: object, expected: str) -> None:
    assert problem_of(tmp_path, options) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"unique": {"by": ["/to"], "onConflict": "drop"}}, '/unique/onConflict must be keep, replace or reschedule, not "drop"'),
        ({"unique": {}}, '/unique must state "by": pointers into params, at least one; "" stands for all of them'),
        ({"unique": {"by": []}}, '/unique must state "by": pointers into params, at least one; "" stands for all of them'),
        ({"unique": {"by": ["to"]}}, '/unique/by/0 must be a JSON pointer into params such as "/to", not "to" (did you mean "/to"?)'),
        ({"unique": {"by": ["/t"]}}, '/unique/by/0 "/t" leads to nothing in params: there is no "t" (did you mean "/to"?)'),
        ({"unique": {"by": ["/to", "/to"]}}, '/unique/by/1 "/to" is listed twice'),
        ({"unique": {"by": ["/address/stret"]}}, '/unique/by/0 "/address/stret" leads to nothing in params: there is no "stret" (did you mean "/address/street"?)'),
    ],
)  # fmt: skip
def test_a_unique_key_has_pointers_into_params(tmp_path: Path, options: object, expected: str) -> None:
    assert problem_of(tmp_path, options) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"redact": ["/params/to"]}, '/redact/0 "/params/to" leads to nothing in params: there is no "params" (did you mean "/to"?)'),
        ({"redact": ["/properties/params/properties/address/properties/Street"]}, '/redact/0 "/properties/params/properties/address/properties/Street" leads to nothing in params: there is no "properties" (did you mean "/address/street"?)'),
        ({"redact": ["address.street"]}, '/redact/0 must be a JSON pointer into params such as "/to", not "address.street" (did you mean "/address/street"?)'),
        ({"redact": ["#/To"]}, '/redact/0 must be a JSON pointer into params such as "/to", not "#/To" (did you mean "/to"?)'),
        ({"redact": ["/to/x"]}, '/redact/0 "/to/x" leads to nothing in params: there is no "x"'),
        ({"redact": "/to"}, '/redact must be a list of JSON pointers into params such as ["/to"], not "/to"'),
    ],
)  # fmt: skip
def test_redacted_params_are_pointers_into_params(tmp_path: Path, options: object, expected: str) -> None:
    assert problem_of(tmp_path, options) == expected


def test_pointers_may_lead_to_properties_beside_a_reference(tmp_path: Path) -> None:
    definitions = {
        "Middle": {**an_object(a=TEXT), "additionalProperties": True, "$ref": "#/$defs/Last"},
        "Last": {**an_object(b=TEXT), "additionalProperties": True},
    }
    x_job = {"redact": ["/x/a", "/x/b"], "unique": {"by": ["/x/a"]}}
    params = {**an_object(x={"$ref": "#/$defs/Middle"}), "required": ["x"]}
    assert problems(tmp_path, {"case.json": a_spec(params, **{"$defs": definitions, "x-job": x_job})}) == []


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"concurrency": {}}, '/concurrency must state "limit": the number of runs at one time'),
        ({"concurrency": {"limit": 0}}, "/concurrency/limit must be a whole number from 1 to 100000, not 0"),
        ({"concurrency": {"limit": 1, "by": ["/t"]}}, '/concurrency/by/0 "/t" leads to nothing in params: there is no "t" (did you mean "/to"?)'),
        ({"rate": {"limit": 9}}, '/rate must state "limit" and "per": how many starts within which time, such as 100 and "PT1M"'),
        ({"rate": {"limit": 9, "per": "PT0S"}}, '/rate/per must be a duration from PT0.001S to P31D, not "PT0S"'),
        ({"rate": {"limit": 9, "per": "P32D"}}, '/rate/per must be a duration from PT0.001S to P31D, not "P32D"'),
        ({"rate": {"limit": 9, "per": "PT1M", "by": ["to"]}}, '/rate/by/0 must be a JSON pointer into params such as "/to", not "to" (did you mean "/to"?)'),
    ],
)  # fmt: skip
def test_a_limit_has_a_number_a_period_and_pointers_into_params(tmp_path: Path, options: object, expected: str) -> None:
    assert problem_of(tmp_path, options) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"retention": {"done": "P1D"}}, '/retention/done "done" is not a key of retention; use completed, failed or cancelled'),
        ({"retention": {"failed": 30}}, "/retention/failed must be an ISO 8601 duration of weeks, days, hours, minutes and seconds such as PT30S, up to 365 days, not 30 (did you mean \"PT30S\"?)"),
    ],
)  # fmt: skip
def test_a_retention_has_a_duration_for_each_final_status(tmp_path: Path, options: object, expected: str) -> None:
    assert problem_of(tmp_path, options) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"status": "gone"}, '/status must be active or retired, not "gone"'),
        ({"compat": {"queue": "fatal"}}, '/compat/queue must be error, warning or ignore, not "fatal"'),
        ({"compat": {"results": "error"}}, '/compat/results "results" is not a key of compat; use queue, rollout, store or reader'),
    ],
)  # fmt: skip
def test_a_status_and_the_severities_of_changes_are_words_of_a_list(
    tmp_path: Path, options: object, expected: str
) -> None:
    assert problem_of(tmp_path, options) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"reserved": "to"}, '/reserved must be a list of names of properties, not "to"'),
        ({"reserved": ["a", "a"]}, '/reserved/1 "a" is listed twice'),
        ({"reserved": [1]}, "/reserved/0 must be the name of a property, not 1"),
    ],
)  # fmt: skip
def test_reserved_names_are_listed_once(tmp_path: Path, options: object, expected: str) -> None:
    assert problem_of(tmp_path, options) == expected


@pytest.mark.parametrize(
    ("name", "title", "meant"),
    [
        ("Send-Email", "SendEmail", "send_email.json"),
        ("sendEmail", "SendEmail", "send_email.json"),
        ("send email", "SendEmail", "send_email.json"),
        ("case", "send_email", "SendEmail"),
        ("case", "Send Email!", "SendEmail"),
        ("case", "3", None),
        ("class", "SendEmail", None),
    ],
)
def test_an_invalid_name_gets_a_valid_suggestion(tmp_path: Path, name: str, title: str, meant: str | None) -> None:
    (line,) = problems(tmp_path, {f"{name}.json": a_spec(title=title)})
    assert line.partition(" (did you mean ")[2] == ("" if meant is None else f'"{meant}"?)')


@pytest.mark.parametrize(
    ("queue", "meant"), [("my queue", "my-queue"), ("mail!", "mail"), ("\u00fcber", None), ("-", None)]
)
def test_an_invalid_queue_name_gets_a_suggestion(tmp_path: Path, queue: str, meant: str | None) -> None:
    (line,) = problems(tmp_path, {"case.json": a_spec(**{"x-job": {"queue": queue}})})
    assert line.partition(" (did you mean ")[2] == ("" if meant is None else f'"{meant}"?)')
