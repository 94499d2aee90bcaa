"""Specs in every form: JSON, JSON with comments or YAML; with or without the frame; one job in a file, or several."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from server_jobs_generator.ir.spec import JobSpec
from server_jobs_generator.options.schema import spec_schema

from tests.generator.spec_projects import Schema, a_spec, a_spec_without_result, an_object, findings, problems, read

TEXT: Schema = {"type": "string"}
JOBS = """\
# yaml-language-server: $schema=../generated/spec.schema.json
$schema: ../generated/spec.schema.json
jobs:
  SendEmail:
    description: Send one message.
    x-job: {queue: mail, unique: {by: [/to]}}
    params: {type: object, additionalProperties: false, required: [to], properties: {to: {$ref: "#/$defs/Address"}}}
    result: {type: object, additionalProperties: false, properties: {at: {$ref: shared/times.jsonc#/$defs/Time}}}
  Cleanup: {}
$defs:
  Address: {type: string, format: email}
"""
TIMES = b'{"$defs": {/* when */ "Time": {"type": "string", "format": "date-time"},}}'


def as_yaml(value: object) -> bytes:
    # A copy, because an object that occurs twice would become an alias.
    return str(yaml.safe_dump(json.loads(json.dumps(value)))).encode()


def same(one: JobSpec, other: JobSpec) -> bool:
    return all(
        getattr(one, name) == getattr(other, name)
        for name in ("spec_name", "class_name", "params", "result", "options")
    )


def test_one_job_is_the_same_in_every_form(tmp_path: Path) -> None:
    spec = a_spec(an_object(to=TEXT), an_object(), **{"x-job": {"queue": "mail"}, "$defs": {"A": TEXT}})
    parts = spec["properties"]
    assert isinstance(parts, dict)
    short = {"x-job": spec["x-job"], "$defs": spec["$defs"], **parts}
    commented = json.dumps(short).replace("{", "{// a comment\n", 1).encode()
    forms: dict[str, object] = {
        "case.json": spec,
        "case.jsonc": commented,
        "case.yaml": as_yaml(spec),
        "case.yml": as_yaml({"jobs": {"Case": {key: short[key] for key in short if key != "$defs"}}}),
    }
    jobs: list[JobSpec] = []
    for number, (name, content) in enumerate(forms.items()):
        (tmp_path / str(number)).mkdir()
        specs = read(tmp_path / str(number), {name: content})
        assert specs.problems == ()
        jobs += specs.jobs
    assert len(jobs) == 4
    assert all(same(jobs[0], job) for job in jobs)


def test_several_jobs_share_a_file_and_its_definitions(tmp_path: Path) -> None:
    other = a_spec_without_result(an_object(to={"$ref": "jobs.yaml#/$defs/Address"}))
    specs = read(tmp_path, {"jobs.yaml": JOBS.encode(), "shared/times.jsonc": TIMES, "other.json": other})
    assert specs.problems == ()
    by_name = {job.class_name: job for job in specs.jobs}
    assert by_name.keys() == {"Cleanup", "Other", "SendEmail"}
    assert by_name["SendEmail"].spec_name == "send_email"
    assert by_name["SendEmail"].path == by_name["Cleanup"].path == "specs/jobs.yaml"
    assert by_name["SendEmail"].description == "Send one message."
    assert by_name["SendEmail"].options.unique_by == ("/to",)
    assert by_name["SendEmail"].params["$defs"] == {"Address": {"type": "string", "format": "email"}}
    assert by_name["SendEmail"].result["$defs"] == {"Time": {"type": "string", "format": "date-time"}}
    assert (by_name["Cleanup"].has_result, by_name["Cleanup"].needs_params) == (False, False)
    assert specs.needs["jobs.yaml"] == {"shared/times.jsonc"}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("string, format", "strng, format", '11:19 /$defs/Address/type "strng" is not'),
        ("by: [/to]", "by: [/ot]", '6:40 /jobs/SendEmail/x-job/unique/by/0 "/ot"'),
        ("type: object,", "type: objekt,", "7:20 /jobs/SendEmail/params/type"),
        ("#/$defs/Address", "#/$defs/Adress", "7:97 /jobs/SendEmail/params/properties/to/$ref"),
        ("result: {type: object", "result: {type: array", "8:13 /jobs/SendEmail/result"),
        ("  Cleanup: {}", "  Cleanup: 1", "9:12 /jobs/Cleanup a job is an object with params and result, not 1"),
        ("  Cleanup: {}", "  cleanup: {}", '9:12 /jobs/cleanup the title "cleanup" does not name a job'),
        ("  Cleanup: {}", "  Cleanup: {title: A}", '9:13 /jobs/Cleanup/title "title" is not accepted here'),
        ("  Cleanup: {}", "  Cleanup: {$defs: {}}", '9:13 /jobs/Cleanup/$defs "$defs" is not accepted here'),
        ("  Cleanup: {}", "  Cleanup: {parms: {}}", '9:13 /jobs/Cleanup/parms "parms" is not accepted'),
        ("  Cleanup: {}", "title: A\n", '9:1 /title "title" is not accepted beside jobs; it belongs into the job'),
    ],
)
def test_a_problem_has_its_place_in_the_file(tmp_path: Path, before: str, after: str, expected: str) -> None:
    assert before in JOBS
    text = JOBS.replace(before, after, 1)
    found = problems(tmp_path, {"jobs.yaml": text.encode(), "shared/times.jsonc": TIMES})
    assert any(one.startswith(f"specs/jobs.yaml:{expected}") for one in found), found


DRAFT_7 = {"$schema": "http://json-schema.org/draft-07/schema#"}
PAIR: Schema = {"type": "array", "items": [TEXT, {"type": "integer"}], "additionalItems": False}


def test_an_older_draft_keeps_its_meaning_in_every_form(tmp_path: Path) -> None:
    params = an_object(
        pair={"$ref": "#/definitions/Pair"},
        own={"$ref": "#/definitions/Own"},
        part={"$ref": "#/definitions/Pair/x-parts/Item"},
        tag={"$ref": "https://example.com/tag"},
    )
    params["definitions"] = {"Own": {"type": "integer"}}
    item: Schema = {"type": "array", "items": [TEXT]}
    shared: Schema = {"Pair": {**PAIR, "x-parts": {"Item": item}}, "Tag": {"$id": "https://example.com/tag", **TEXT}}
    short = {**DRAFT_7, "params": params, "definitions": shared}
    forms: dict[str, object] = {
        "case.json": a_spec_without_result(params, **DRAFT_7, definitions=shared),
        "case.jsonc": json.dumps(short).encode() + b"// the end",
        "case.yaml": as_yaml(short),
        "jobs.yml": as_yaml({**DRAFT_7, "jobs": {"Case": {"params": params}, "B": {}}, "definitions": shared}),
    }
    jobs: list[JobSpec] = []
    for number, (name, content) in enumerate(forms.items()):
        (tmp_path / str(number)).mkdir()
        specs = read(tmp_path / str(number), {name: content})
        assert (specs.problems, specs.warnings) == ((), ())
        jobs += (job for job in specs.jobs if job.class_name == "Case")
    assert len(jobs) == 4
    assert all(same(jobs[0], job) for job in jobs)
    assert jobs[0].params["$defs"] == {
        "Item": {"type": "array", "prefixItems": [TEXT]},
        "Own": {"type": "integer"},
        "Pair": {"type": "array", "prefixItems": [TEXT, {"type": "integer"}], "items": False},
        "Tag": TEXT,
    }


def test_a_reference_leads_to_an_unknown_keyword_at_its_place_in_the_file(tmp_path: Path) -> None:
    params = an_object(pair={"$ref": "#/params/x-parts/Pair"}) | {"x-parts": {"Pair": PAIR}}
    specs = read(tmp_path, {"case.yaml": as_yaml({**DRAFT_7, "params": params})})
    assert specs.problems == ()
    (job,) = specs.jobs
    assert job.params["$defs"] == {
        "Pair": {"type": "array", "prefixItems": [TEXT, {"type": "integer"}], "items": False}
    }


def test_the_uri_of_a_definition_beside_jobs_is_known_in_other_files(tmp_path: Path) -> None:
    tag = {"Tag": {"$id": "https://example.com/tag", **TEXT}}
    jobs = {"jobs": {"A": {}, "B": {"params": an_object(tag={"$ref": "https://example.com/tag"})}}, "$defs": tag}
    other = a_spec_without_result(an_object(tag={"$ref": "https://example.com/tag"}))
    specs = read(tmp_path, {"jobs.yaml": as_yaml(jobs), "other.json": other})
    assert specs.problems == ()
    assert specs.needs["other.json"] == {"jobs.yaml"}


def test_a_problem_of_an_older_draft_has_its_place_in_a_file_with_several_jobs(tmp_path: Path) -> None:
    text = JOBS.replace("../generated/spec.schema.json\njobs", "http://json-schema.org/draft-07/schema#\njobs")
    text = text.replace("\n$defs:", "\ndefinitions:").replace("#/$defs/Address", "#/definitions/Address")
    text = text.replace("{type: string, format: email}", "{type: array, items: [{type: strng}]}")
    found = problems(tmp_path, {"jobs.yaml": text.encode(), "shared/times.jsonc": TIMES})
    (line,) = (one for one in found if one.startswith("specs/jobs.yaml"))
    assert line.startswith('specs/jobs.yaml:11:41 /definitions/Address/items/0/type "strng" is not')


def test_a_warning_about_shared_definitions_is_shown_once(tmp_path: Path) -> None:
    text = JOBS.replace("format: email", "format: mail")
    (line,) = findings(tmp_path, {"jobs.yaml": text.encode(), "shared/times.jsonc": TIMES})
    assert line.startswith('warning: specs/jobs.yaml:11:35 /$defs/Address/format the format "mail" is not known')


def test_many_warnings_of_a_file_with_several_jobs_are_counted_once(tmp_path: Path) -> None:
    definitions = {f"T{number}": TEXT | {"format": "mail"} for number in range(20)}
    jobs = {f"Job{number}": {"params": an_object(x=TEXT | {"format": "mail"})} for number in range(3)}
    (line,) = findings(tmp_path, {"jobs.json": {"jobs": jobs, "$defs": definitions}})
    assert line.endswith("(and 22 more in this file)")


@pytest.mark.parametrize("name", ["send_email.json", "send_email.yml"])
def test_two_jobs_with_one_id_are_refused(tmp_path: Path, name: str) -> None:
    spec = json.dumps(a_spec(title="Another")).encode()
    found = problems(tmp_path, {"jobs.yaml": JOBS.encode(), "shared/times.jsonc": TIMES, name: spec})
    assert any('has the same id, "send_email"; rename one of them' in one for one in found), found


@pytest.mark.parametrize("jobs", [{}, [], None, 3])
def test_a_file_without_jobs_says_what_they_look_like(tmp_path: Path, jobs: object) -> None:
    (found,) = problems(tmp_path, {"jobs.json": {"jobs": jobs}})
    assert "/jobs must be an object with a job by its name" in found


def test_definitions_in_the_wrong_folder_are_no_job(tmp_path: Path) -> None:
    assert any(
        'must state "type": "object"' in one for one in problems(tmp_path, {"mail.json": {"$defs": {"A": TEXT}}})
    )


SHORT: Schema = {"params": an_object(to=TEXT)}
SCHEMA = spec_schema()


@pytest.mark.parametrize(
    "spec",
    [
        a_spec(),
        a_spec_without_result(),
        SHORT,
        {"x-job": {}},
        {"jobs": {"A": SHORT, "B": {}}, "$defs": {"T": TEXT}},
    ],
)
def test_editors_accept_every_form(tmp_path: Path, spec: Schema) -> None:
    jsonschema.Draft202012Validator(SCHEMA).validate(spec)
    assert problems(tmp_path, {"case.json": spec}) == []


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"$defs": {}},
        {**a_spec(), **SHORT},
        {"jobs": {}},
        {"jobs": {"a": {}}},
        {"jobs": {"A": {"title": "A"}}},
        {"jobs": {"A": {}}, "title": "A"},
    ],
)
def test_editors_refuse_mixed_forms(tmp_path: Path, spec: Schema) -> None:
    assert not jsonschema.Draft202012Validator(SCHEMA).is_valid(spec)
    assert problems(tmp_path, {"case.json": spec})
