"""The top of a spec, and files that specs share."""

# ruff: noqa: E501  # a case and its whole message stand on one line, like the rows of a table

from __future__ import annotations

from pathlib import Path

import pytest

from tests.generator.spec_projects import Schema, a_spec, an_object, findings, problems

from .schemas import TEXT


def problem_of(root: Path, more: Schema) -> str:
    """Return the place and the message of the only problem of a spec with these keys."""
    (line,) = problems(root, {"case.json": a_spec() | more})
    return line.partition(" ")[2]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"foo": 1}, '/foo "foo" is not accepted at the top of a spec; use $schema, $comment, title, description, x-job, type, properties, required, additionalProperties, $defs or definitions'),
        ({"$id": "a"}, '/$id "$id" is not accepted at the top of a spec: a spec is identified by the name of its file; remove it'),
        ({"name": "A"}, '/name "name" is not accepted at the top of a spec: the name of a job is its title'),
        ({"params": {}}, '/params "params" is not accepted at the top of a spec: it belongs into properties, as the spec has them'),
        ({"queue": "a"}, '/queue "queue" is not accepted at the top of a spec; it belongs into x-job'),
        ({"max_retries": 3}, '/max_retries "max_retries" is not accepted at the top of a spec (did you mean "maxAttempts", in x-job?)'),
        ({"x-jobs": {}}, '/x-jobs "x-jobs" is not accepted at the top of a spec (did you mean "x-job"?)'),
    ],
)  # fmt: skip
def test_a_key_that_no_spec_has_is_refused(tmp_path: Path, more: Schema, expected: str) -> None:
    assert problem_of(tmp_path, more) == expected


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"$schema": "http://json-schema.org/draft-03/schema#"}, '/$schema must be "http://json-schema.org/draft-04/schema", "http://json-schema.org/draft-06/schema", "http://json-schema.org/draft-07/schema", "http://json-schema.org/schema", "https://json-schema.org/draft/2019-09/schema", "https://json-schema.org/draft/2020-12/schema" or "https://spec.openapis.org/oas/3.1/dialect/base", not "http://json-schema.org/draft-03/schema#"'),
        ({"type": "array"}, '/type a spec must state "type": "object" at the top'),
        ({"additionalProperties": {}}, "/additionalProperties must be true or false at the top of a spec, not {}"),
        ({"title": 3}, "/title must be the name of the job such as SendEmail, not 3"),
        ({"title": "send email"}, '/title the title "send email" does not name a job: a job\'s name starts with a capital letter and continues with letters and digits, for example SendEmail (did you mean "SendEmail"?)'),
        ({"description": 3}, "/description must be a text, not 3"),
        ({"$defs": {"A": {"type": "strng"}}}, '/$defs/A/type "strng" is not a JSON Schema type (did you mean "string"?)'),
    ],
)  # fmt: skip
def test_the_keys_of_a_spec_have_their_form(tmp_path: Path, more: Schema, expected: str) -> None:
    assert problem_of(tmp_path, more) == expected


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"required": ["params"]}, '/required must be ["params", "result"], the properties of this spec, not ["params"]'),
        ({"required": "params"}, '/required must be ["params", "result"], the properties of this spec, not "params"'),
        ({"properties": {"params": an_object()}}, '/required must be ["params"], the properties of this spec, not ["params", "result"]'),
        ({"properties": {}}, '/required must be [], the properties of this spec, not ["params", "result"]'),
    ],
)  # fmt: skip
def test_required_lists_the_properties_of_the_spec(tmp_path: Path, more: Schema, expected: str) -> None:
    assert problem_of(tmp_path, more) == expected


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"properties": {"params": an_object(), "result": an_object(), "reslt": True}}, '/properties/reslt only params and result belong here, not "reslt" (did you mean "result"?)'),
        ({"properties": {"params": an_object(), "result": an_object(), "to": TEXT}}, '/properties/to only params and result belong here, not "to"; put it into the properties of one of them'),
        ({"properties": []}, '/properties must be an object with "params" and "result", not []'),
        ({"properties": {"params": an_object(), "result": TEXT}}, '/properties/result result must be an object: state "type": "object"'),
        ({"properties": {"params": False, "result": an_object()}}, '/properties/params params must be an object: state "type": "object"'),
        ({"properties": {"params": an_object(), "result": {"$ref": "#/$defs/T"}}, "$defs": {"T": False}}, '/properties/result result must be an object: state "type": "object"'),
        ({"properties": {"params": {"$ref": "#/$defs/T"}, "result": an_object()}, "$defs": {"T": TEXT}}, '/properties/params params must be an object: state "type": "object"'),
    ],
)  # fmt: skip
def test_a_spec_has_params_and_a_result_which_are_objects(tmp_path: Path, more: Schema, expected: str) -> None:
    assert problem_of(tmp_path, more) == expected


@pytest.mark.parametrize("document", [b"[]", b'"x"', b"null", b"3"])
def test_a_spec_that_is_no_object_is_refused(tmp_path: Path, document: bytes) -> None:
    (line,) = problems(tmp_path, {"case.json": document})
    assert f"a spec is an object with params and result, not {document.decode()}" in line


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"type": "strng"}, '/type "strng" is not a JSON Schema type'),
        ({"$defs": {"A": {"type": "strng"}}}, '/$defs/A/type "strng" is not a JSON Schema type'),
        ({"$defs": {"A": {"type": "integer", "examples": ["x"]}}}, "/$defs/A/examples/0 does not fit its own schema"),
        ({"$defs": {"A": {"$ref": "nowhere.json"}}}, '/$defs/A/$ref "nowhere.json" leads to "shared/nowhere.json"'),
        ({"type": "string", "x-job": {}}, "/x-job x-job is not accepted: it belongs to the top of a job's spec"),
        ({"$schema": 3, "type": "string"}, "/$schema must be "),
        ([], "(whole file) must be a schema"),
    ],
)
def test_shared_files_are_checked_too_even_if_nothing_uses_them(
    tmp_path: Path, document: object, expected: str
) -> None:
    (line,) = findings(tmp_path, {"case.json": a_spec(), "shared/a.json": document})
    assert line.removeprefix("warning: ").startswith("specs/shared/a.json:")
    assert expected in line
