"""Which files are specs, which references are allowed, and the `JobSpec` of a correct spec."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path

import pytest
from server_jobs.domain.options import (
    Backoff,
    ConcurrencyLimit,
    JobOptions,
    Misfire,
    OnConflict,
    RateLimit,
    Retention,
    RetryPolicy,
    Schedule,
)
from server_jobs.errors import ProjectError
from server_jobs_generator.ir.spec import read_specs

from tests.generator.spec_projects import a_spec, an_object, job, problems, read, write

TEXT = {"type": "string"}


def test_a_spec_becomes_a_job(tmp_path: Path) -> None:
    spec = a_spec(
        an_object(to=TEXT),
        title="SendEmail",
        description="Send it.",
        **{
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "x-job": {
                "version": 2,
                "queue": "mail",
                "priority": -100,
                "maxAttempts": 5,
                "timeout": "PT1M30.5S",
                "expiresAfter": "PT10M",
                "runIn": "kubernetes",
                "image": "ghcr.io/shop/jobs:1.4@sha256:12ab",
                "resources": {"requests": {"cpu": "500m", "nvidia.com/gpu": "1"}, "limits": {"memory": "1.5Gi"}},
                "retry": {"backoff": "linear", "initial": "PT0S", "max": "P1DT12H", "jitter": 1},
                "unique": {"by": ["/to"], "onConflict": "reschedule"},
                "concurrency": {"limit": 10, "by": ["/to"]},
                "rate": {"limit": 100, "per": "PT1M"},
                "retention": {"completed": "PT0S", "cancelled": "P30D"},
                "schedules": [
                    {"name": "first", "cron": "0 9 * * MON"},
                    {
                        "name": "second",
                        "cron": "*/5 * * * *",
                        "timezone": "Europe/Berlin",
                        "misfire": "fire_all",
                        "misfireLimit": 24,
                        "params": {"to": "ü"},
                    },
                ],
                "redact": ["/to"],
            },
        },
    )
    specs = read(tmp_path, {"send_email.json": spec})
    assert specs.problems == ()
    (found,) = specs.jobs
    assert (found.path, found.spec_name, found.class_name) == ("specs/send_email.json", "send_email", "SendEmail")
    assert found.description == "Send it."
    assert found.params == an_object(to=TEXT)
    assert found.options == JobOptions(
        version=2,
        queue="mail",
        priority=-100,
        max_attempts=5,
        timeout=timedelta(seconds=90.5),
        expires_after=timedelta(minutes=10),
        run_in="kubernetes",
        place_options={
            "image": "ghcr.io/shop/jobs:1.4@sha256:12ab",
            "resources": {"requests": {"cpu": "500m", "nvidia.com/gpu": "1"}, "limits": {"memory": "1.5Gi"}},
        },
        retry=RetryPolicy(
            backoff=Backoff.LINEAR, initial=timedelta(0), maximum=timedelta(days=1, hours=12), jitter=1.0
        ),
        unique_by=("/to",),
        on_conflict=OnConflict.RESCHEDULE,
        concurrency=ConcurrencyLimit(limit=10, by=("/to",)),
        rate=RateLimit(limit=100, per=timedelta(minutes=1)),
        retention=Retention(completed=timedelta(0), cancelled=timedelta(days=30)),
        redact=("/to",),
    )
    assert found.schedules == (
        Schedule(name="first", cron="0 9 * * MON"),
        Schedule(
            name="second",
            cron="*/5 * * * *",
            timezone="Europe/Berlin",
            misfire=Misfire.FIRE_ALL,
            misfire_limit=24,
            params='{"to":"ü"}',
        ),
    )


def test_a_spec_without_title_and_options_has_the_defaults(tmp_path: Path) -> None:
    (found,) = read(tmp_path, {"import_csv.json": a_spec()}).jobs
    assert (found.class_name, found.description, found.options, found.schedules) == (
        "ImportCsv",
        None,
        JobOptions(),
        (),
    )


def test_jobs_are_sorted_by_class_name(tmp_path: Path) -> None:
    specs = read(tmp_path, {"a.json": a_spec(title="Zebra"), "b.json": a_spec(title="Apple")})
    assert [found.class_name for found in specs.jobs] == ["Apple", "Zebra"]


def test_params_of_schedules_are_canonical(tmp_path: Path) -> None:
    schedules = [{"name": "n", "cron": "0 0 * * *", "params": {"b": 1.0, "a": [1, {"d": None, "c": "<"}]}}]
    open_object = {"type": "object", "additionalProperties": True}
    (schedule,) = job(tmp_path, a_spec(open_object, **{"x-job": {"schedules": schedules}})).schedules
    assert schedule.params == '{"a":[1,{"c":"<","d":null}],"b":1.0}'


def test_a_cron_expression_has_one_space_between_its_fields(tmp_path: Path) -> None:
    schedules = [{"name": "n", "cron": "  0 9  * * \tMON "}]
    open_object = {"type": "object", "additionalProperties": True}
    (schedule,) = job(tmp_path, a_spec(open_object, **{"x-job": {"schedules": schedules}})).schedules
    assert schedule.cron == "0 9 * * MON"


def test_references_are_bundled_under_one_name_for_params_and_result(tmp_path: Path) -> None:
    files: dict[str, object] = {
        "case.json": a_spec(
            an_object(home={"$ref": "shared/places.json#/$defs/address"}, own={"$ref": "#/$defs/Size"}),
            an_object(where={"$ref": "./shared/places.json#/$defs/address", "description": "There."}),
            **{"$defs": {"Size": {"type": "integer"}, "unused": {"type": "null"}}},
        ),
        "shared/places.json": {"$defs": {"address": an_object(country={"$ref": "deep/country.json"})}},
        "shared/deep/country.json": {"type": "string", "maxLength": 2},
    }
    (found,) = read(tmp_path, files).jobs
    address = an_object(country={"$ref": "#/$defs/Country"})
    country = {"type": "string", "maxLength": 2}
    assert found.params == an_object(home={"$ref": "#/$defs/Address"}, own={"$ref": "#/$defs/Size"}) | {
        "$defs": {"Address": address, "Country": country, "Size": {"type": "integer"}}
    }
    assert found.result == an_object(where={"$ref": "#/$defs/Address", "description": "There."}) | {
        "$defs": {"Address": address, "Country": country}
    }


def test_definitions_of_one_name_get_different_names(tmp_path: Path) -> None:
    params = an_object(a={"$ref": "shared/a.json#/$defs/X"}, b={"$ref": "shared/b.json#/$defs/X"})
    files: dict[str, object] = {
        "case.json": a_spec(params),
        "shared/a.json": {"$defs": {"X": TEXT}},
        "shared/b.json": {"$defs": {"X": {"type": "null"}}},
    }
    (found,) = read(tmp_path, files).jobs
    assert found.params == an_object(a={"$ref": "#/$defs/X"}, b={"$ref": "#/$defs/X2"}) | {
        "$defs": {"X": TEXT, "X2": {"type": "null"}}
    }


def test_params_may_be_a_shared_object(tmp_path: Path) -> None:
    files: dict[str, object] = {
        "case.json": a_spec({"$ref": "shared/node.json"}),
        "shared/node.json": an_object(next={"$ref": "node.json"}),
    }
    (found,) = read(tmp_path, files).jobs
    assert found.params == an_object(next={"$ref": "#/$defs/Node"}) | {
        "$defs": {"Node": an_object(next={"$ref": "#/$defs/Node"})}
    }


def test_keywords_beside_a_reference_to_a_shared_object_apply_to_the_params(tmp_path: Path) -> None:
    shared = {"$defs": {"Address": {**an_object(city={"type": "string"}), "description": "Where somebody lives."}}}
    said = {"description": "Where it goes.", "examples": [{"city": "Rome"}]}
    params = {"$ref": "shared/address.json#/$defs/Address", **said}
    files = {"case.json": a_spec(params), "shared/address.json": shared}
    (one,) = read(tmp_path, files).jobs
    assert {key: one.params[key] for key in said} == said
    assert "$ref" not in one.params


def test_a_pointer_may_be_escaped(tmp_path: Path) -> None:
    reference = "#/$defs/a~1b%20~0c"
    found = job(tmp_path, a_spec(an_object(x={"$ref": reference}), **{"$defs": {"a/b ~c": TEXT}}))
    assert found.params["$defs"] == {"ABC": TEXT}


def test_the_digest_follows_the_spec_and_every_file_it_uses(tmp_path: Path) -> None:
    files: dict[str, object] = {
        "case.json": a_spec(an_object(x={"$ref": "shared/used.json"})),
        "other.json": a_spec(),
        "shared/used.json": TEXT,
        "shared/unused.json": TEXT,
    }
    before = {found.spec_name: found.digest for found in read(tmp_path, files).jobs}
    assert before == {found.spec_name: found.digest for found in read(tmp_path, files).jobs}
    write(tmp_path, {"shared/unused.json": {"type": "null"}})
    assert before == {found.spec_name: found.digest for found in read_specs(tmp_path, tmp_path / "specs").jobs}
    write(tmp_path, {"shared/used.json": {"type": "null"}})
    after = {found.spec_name: found.digest for found in read_specs(tmp_path, tmp_path / "specs").jobs}
    assert after["case"] != before["case"]
    assert after["other"] == before["other"]


def test_a_job_is_given_only_if_all_it_uses_is_right(tmp_path: Path) -> None:
    files: dict[str, object] = {
        "uses.json": a_spec(an_object(x={"$ref": "shared/wrong.json"})),
        "right.json": a_spec(),
        "shared/wrong.json": {"type": "strng"},
    }
    specs = read(tmp_path, files)
    assert [found.spec_name for found in specs.jobs] == ["right"]
    assert [problem.path for problem in specs.problems] == ["specs/shared/wrong.json"]


def test_problems_of_all_files_come_in_reading_order(tmp_path: Path) -> None:
    wrong = b'{"type": "object",\n "properties": {"params": {"type": 3}, "result": {"type": "nul"}}}'
    lines = problems(tmp_path, {"b.json": wrong, "a.json": wrong, "shared/c.json": b"{"})
    places = [line.split(" ")[0] for line in lines]
    assert places == sorted(places)
    assert {place.split(":")[0] for place in places} == {"specs/a.json", "specs/b.json", "specs/shared/c.json"}


def test_hidden_files_leftovers_and_a_readme_are_allowed_among_specs(tmp_path: Path) -> None:
    leftovers = (".DS_Store", "case.json~", "case.json.orig", "case.json.rej", "case.json.bak", "#case.json#", "x.tmp")
    names = (*leftovers, "Thumbs.db", "desktop.ini", "README.md", ".git/x", "old/case.json~", "old/.DS_Store")
    files: dict[str, object] = dict.fromkeys((*names, *(f"shared/{name}" for name in names)), b"x")
    for folder in ("empty", "empty/inner", "shared/empty", "shared/empty/inner"):
        (tmp_path / "specs" / folder).mkdir(parents=True)
    assert read(tmp_path, files | {"case.json": a_spec()}).problems == ()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("notes.txt", 'only .json, .jsonc, .yaml or .yml files belong in specs/; move or rename "notes.txt"'),
        ("case.JSON", 'only .json, .jsonc, .yaml or .yml files belong in specs/; move or rename "case.JSON"'),
        ("shared/a.toml", 'only .json, .jsonc, .yaml or .yml files belong in specs/; move or rename "a.toml"'),
        (
            "more/case.json",
            "is a folder; specs lie directly in specs/, shared definitions under specs/shared/: move its files",
        ),
        (
            "SendEmail.json",
            "the file's name \"SendEmail.json\" does not name a job: a job's id starts with a lower-case",
        ),
        ("class.json", 'the file\'s name "class.json" does not name a job: it is a keyword of Python'),
        ("value_error.json", 'the name "ValueError" made of the file\'s name: Python has another meaning'),
    ],
)
def test_other_files_are_refused(tmp_path: Path, name: str, expected: str) -> None:
    (line,) = problems(tmp_path, {name: a_spec()})
    assert expected in line


def test_names_that_differ_only_in_capitals_are_refused(tmp_path: Path) -> None:
    (line,) = problems(tmp_path, {"a.json": a_spec(title="SendEmail"), "b.json": a_spec(title="Sendemail")})
    assert "specs/b.json:1:" in line
    assert """/title the job's name "Sendemail" is taken by a.json (capitals aside); set another title""" in line


def test_two_ids_with_one_class_name_are_refused(tmp_path: Path) -> None:
    (line,) = problems(tmp_path, {"send_email.json": a_spec(), "send__email.json": a_spec()})
    assert """the job's name "SendEmail" is taken by send__email.json""" in line


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    write(tmp_path, {"case.json": a_spec(an_object(x={"$ref": "shared/secret.json"}))})
    (tmp_path / "secret.json").write_text('{"type": "string", "default": "hunter2"}')
    (tmp_path / "specs/shared").mkdir()
    (tmp_path / "specs/shared/secret.json").symlink_to(tmp_path / "secret.json")
    (tmp_path / "specs/other").symlink_to(tmp_path)
    lines = [problem.text for problem in read_specs(tmp_path, tmp_path / "specs").problems]
    assert any("specs/shared/secret.json:1:1 (whole file) is a link that leads out of specs/" in line for line in lines)
    assert any("specs/other:1:1 (whole file) is a link that leads out of specs/" in line for line in lines)
    assert not any("hunter2" in line for line in lines)


def test_a_link_inside_the_folder_is_followed(tmp_path: Path) -> None:
    write(tmp_path, {"case.json": a_spec(an_object(x={"$ref": "shared/b.json"})), "shared/a.json": TEXT})
    (tmp_path / "specs/shared/b.json").symlink_to("a.json")
    assert read_specs(tmp_path, tmp_path / "specs").problems == ()


def test_a_broken_link_and_a_pipe_are_problems(tmp_path: Path) -> None:
    write(tmp_path, {})
    (tmp_path / "specs/gone.json").symlink_to("nowhere.json")
    os.mkfifo(tmp_path / "specs/pipe.json")
    (tmp_path / "specs/round.json").symlink_to("round.json")
    first, second, third = (problem.text for problem in read_specs(tmp_path, tmp_path / "specs").problems)
    assert "specs/gone.json:1:1 (whole file) cannot be read: No such file or directory" in first
    assert "specs/pipe.json:1:1 (whole file) is not a regular file" in second
    assert "specs/round.json:1:1 (whole file) cannot be read: " in third


def test_no_specs_are_no_problem(tmp_path: Path) -> None:
    assert read(tmp_path, {}) == read_specs(tmp_path, write(tmp_path, {}) / "specs")
    assert read(tmp_path, {}).jobs == ()


def test_a_folder_of_specs_that_is_missing_is_named_with_advice(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"there is no folder .*nowhere for specs; create it, or state another one"):
        read_specs(tmp_path, tmp_path / "nowhere")


@pytest.mark.parametrize("place", ["file.txt", "../outside"])
def test_a_folder_that_cannot_be_read_is_an_error_of_the_project(tmp_path: Path, place: str) -> None:
    root = tmp_path / "project"
    root.mkdir()
    (root / "file.txt").write_text("x")
    (tmp_path / "outside").mkdir()
    with pytest.raises(ProjectError, match="specs cannot be read from"):
        read_specs(root, (root / place).resolve())


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("http://example.com/x.json", "is a URL; nothing is ever fetched"),
        ("https://json-schema.org/draft/2020-12/schema", "is a URL; nothing is ever fetched"),
        ("file:///etc/passwd", "is a URL; nothing is ever fetched"),
        ("//example.com/x.json", "is a URL; nothing is ever fetched"),
        ("data:application/json,true", "is a URL; nothing is ever fetched"),
        ("/etc/passwd", "is not a relative path"),
        ("shared\\a.json", "is not a relative path"),
        ("shared/a.json?x=1", "is not a relative path"),
        ("../secret.json", "leads out of specs/"),
        ("shared/../../secret.json", "leads out of specs/"),
        ("%2e%2e/secret.json", "leads out of specs/"),
        ("shared/a.json%00", "leads out of specs/"),
        ("shared/b.json", 'leads to "shared/b.json", which is not a file in specs/ (did you mean "shared/a.json"?)'),
        ("shared/a.json#foo", 'leads to no schema: none in shared/a.json has the $anchor "foo"'),
        ("#/$defs/Nme", 'does not exist: case.json has no "Nme" in /$defs (did you mean "#/$defs/Name"?)'),
        ("#/$defs/Name/type", "leads to a place in case.json that is not a schema"),
        ("#/$defs", "leads to a place in case.json that is not a schema"),
        ("", "leads to a place in case.json that is not a schema"),
    ],
)
def test_references_lead_only_to_schemas_in_the_folder(tmp_path: Path, reference: str, expected: str) -> None:
    (tmp_path / "secret.json").write_text(json.dumps(TEXT))
    spec = a_spec(an_object(x={"$ref": reference}), **{"$defs": {"Name": TEXT}})
    (line,) = problems(tmp_path, {"case.json": spec, "shared/a.json": TEXT})
    assert "/properties/params/properties/x/$ref" in line
    assert expected in line


@pytest.mark.parametrize(
    ("reference", "meant"),
    [
        ("#/$defs/zipcode", "#/$defs/ZipCode"),
        ("#/definitions/ZipCode", "#/$defs/ZipCode"),
        ("#ZipCode", "#/$defs/ZipCode"),
        ("/$defs/ZipCode", "#/$defs/ZipCode"),
        ("ZipCode", "#/$defs/ZipCode"),
        ("#/$defs/Money", "shared/money.json#/$defs/Money"),
        ("#/$defs/address", "shared/address.json"),
        ("address.json", "shared/address.json"),
        ("shared/Address.json", "shared/address.json"),
        ("shared/mony.json#/$defs/Money", "shared/money.json#/$defs/Money"),
        ("shared/mony.json#/$defs/mony", "shared/money.json#/$defs/Money"),
        ("shared/money.json#/Money", "shared/money.json#/$defs/Money"),
        ("shared/money.json#curency", "shared/money.json#/$defs/Code"),
    ],
)
def test_a_broken_reference_gets_a_suggestion(tmp_path: Path, reference: str, meant: str) -> None:
    spec = a_spec(an_object(x={"$ref": reference}), **{"$defs": {"ZipCode": TEXT}})
    money = {"$defs": {"Money": TEXT, "Code": TEXT | {"$anchor": "currency"}}}
    (line,) = problems(tmp_path, {"case.json": spec, "shared/address.json": TEXT, "shared/money.json": money})
    assert line.endswith(f'(did you mean "{meant}"?)')


def test_a_suggestion_is_written_relative_to_its_file(tmp_path: Path) -> None:
    files = {
        "shared/address.json": {"$ref": "shared/zip.json"},
        "shared/zip.json": TEXT,
        "shared/more/street.json": {"$ref": "zip.json"},
    }
    first, second = problems(tmp_path, files)
    assert first.endswith('leads to "shared/shared/zip.json", which is not a file in specs/ (did you mean "zip.json"?)')
    assert second.endswith('(did you mean "../../shared/zip.json"?)')


def test_a_reference_to_a_file_that_is_no_json_says_so(tmp_path: Path) -> None:
    files = {"case.json": a_spec(an_object(x={"$ref": "shared/a.json"})), "shared/a.json": b"{"}
    line, of_the_file = problems(tmp_path, files)
    assert '"shared/a.json" leads to "shared/a.json", which cannot be read: see its problems' in line
    assert "specs/shared/a.json:1:2" in of_the_file


@pytest.mark.parametrize(
    ("definitions", "expected"),
    [
        ({"A": {"$ref": "#/$defs/A"}}, "refers to itself endlessly"),
        ({"A": {"$ref": "#/$defs/B"}, "B": {"$ref": "#/$defs/A"}}, "refers to itself endlessly"),
        ({"A": {"anyOf": [TEXT, {"$ref": "#/$defs/A"}]}}, "recursion must lead through a property of an object"),
    ],
)
def test_references_that_never_end_are_refused(tmp_path: Path, definitions: object, expected: str) -> None:
    lines = problems(tmp_path, {"case.json": a_spec(an_object(x={"$ref": "#/$defs/A"}), **{"$defs": definitions})})
    assert lines
    assert all("refers to itself endlessly" in line for line in lines)
    assert expected in lines[-1]


def test_an_endless_schema_is_reported_without_a_traceback(tmp_path: Path) -> None:
    endless = {"enum": [[]], "anyOf": [{"type": "array", "$ref": "#/$defs/A"}], "unevaluatedItems": False}
    case = a_spec(an_object(x={"$ref": "#/$defs/A"}), **{"$defs": {"A": endless}})
    assert any("is nested too deep to be checked" in line for line in problems(tmp_path, {"case.json": case}))


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": {"$ref": "#/$defs/A"}},
        {"type": "array", "items": {"anyOf": [TEXT, {"$ref": "#/$defs/A"}]}},
        {"type": "object", "additionalProperties": {"$ref": "#/$defs/A"}},
    ],
)
def test_a_list_or_dict_that_contains_itself_is_checked(tmp_path: Path, schema: object) -> None:
    assert job(tmp_path, a_spec(an_object(x={"$ref": "#/$defs/A"}), **{"$defs": {"A": schema}}))


def required(**properties: object) -> object:
    return an_object(**properties) | {"required": list(properties)}


A = {"$ref": "#/$defs/A"}
B = {"$ref": "#/$defs/B"}


@pytest.mark.parametrize(
    ("definitions", "place", "name"),
    [
        ({"A": required(name=TEXT, next=A)}, "/$defs/A/required/1", "next"),
        ({"A": required(to=B), "B": required(back=A)}, "/$defs/A/required/0", "to"),
        (
            {"A": required(all={"type": "array", "minItems": 1, "items": B}), "B": required(back=A)},
            "/$defs/A/required/0",
            "all",
        ),
        ({"A": required(next={"anyOf": [A, B]}), "B": required(back=A)}, "/$defs/A/required/0", "next"),
        (
            {
                "A": required(
                    two={"type": "array", "prefixItems": [TEXT, A], "items": False, "minItems": 2, "maxItems": 2}
                )
            },
            "/$defs/A/required/0",
            "two",
        ),
        ({"A": {"type": "array", "minItems": 1, "items": B}, "B": required(all=A)}, "/$defs/B/required/0", "all"),
        ({"A": an_object(), "B": required(next=B)}, "/$defs/B/required/0", "next"),
        ({"A": {"$ref": "#/properties/params"}}, "/properties/params/required/0", "x"),
    ],
)
def test_a_circle_of_required_properties_is_refused(tmp_path: Path, definitions: object, place: str, name: str) -> None:
    (line,) = problems(tmp_path, {"case.json": a_spec(required(x=A), **{"$defs": definitions})})
    assert line.partition(" ")[2] == (
        f'{place} no value can fit: "{name}" is required, and its value would have to contain another one, endlessly; '
        f'make "{name}" optional'
    )


@pytest.mark.parametrize(
    "next_one",
    [
        {"type": "array", "items": A},
        {"anyOf": [A, {"type": "null"}]},
        {"anyOf": [A, required(name=TEXT)]},
        {"type": "object", "additionalProperties": A},
    ],
)
def test_a_circle_of_required_properties_is_fine_where_a_value_can_end_it(tmp_path: Path, next_one: object) -> None:
    job(tmp_path, a_spec(required(x=A), **{"$defs": {"A": required(next=next_one)}}))


def test_a_circle_through_two_files_is_refused_once(tmp_path: Path) -> None:
    other = {"$defs": {"B": required(back={"$ref": "../case.json#/$defs/A"})}}
    spec = a_spec(an_object(x=A), **{"$defs": {"A": required(to={"$ref": "shared/b.json#/$defs/B"})}})
    (line,) = problems(tmp_path, {"case.json": spec, "shared/b.json": other})
    assert 'make "to" optional' in line


def test_a_value_that_could_not_be_read_is_one_problem(tmp_path: Path) -> None:
    text = json.dumps(a_spec() | {"title": "NaN", "description": 3}).replace('"NaN"', "NaN").encode()
    lines = problems(tmp_path, {"case.json": text})
    assert [line.partition(" ")[2] for line in lines] == [
        "/title NaN is not JSON; a number is finite",
        "/description must be a text, not 3",
    ]


def test_recursion_through_a_property_is_fine(tmp_path: Path) -> None:
    node = an_object(children={"type": "array", "items": {"$ref": "#/$defs/A"}}, next={"$ref": "#/$defs/B"})
    other = an_object(back={"anyOf": [{"$ref": "#/$defs/A"}, {"type": "null"}]})
    job(tmp_path, a_spec(an_object(x={"$ref": "#/$defs/A"}), **{"$defs": {"A": node, "B": other}}))
