"""A draft 7 file has the meaning of draft 7, and its problems show the places in the file."""

# ruff: noqa: E501  # each schema and its valid and invalid values are one line, like the rows of a table

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError
from server_jobs_generator.models.model_module import render_models

from tests.generator.spec_projects import Schema, a_spec, an_object, job, loaded, problems, read

DRAFT_7 = {"$schema": "http://json-schema.org/draft-07/schema#"}


def of_draft7(params: object, **more: object) -> Schema:
    return a_spec(params, **DRAFT_7, **more)


@pytest.mark.parametrize(
    ("schema", "accepted", "refused"),
    [
        ({"$ref": "#/definitions/Short"}, ['"ab"'], ['"abc"', "1"]),
        ({"$ref": "#/definitions/Short", "description": "A letter or two"}, ['"a"'], ['"abc"']),
        ({"allOf": [{"$ref": "#/definitions/Short"}], "minLength": 2}, ['"ab"'], ['"a"', '"abc"']),
        ({"type": "array", "items": [{"type": "string"}], "additionalItems": False}, ['["a"]', "[]"], ['["a", 1]', "[1]"]),
        ({"type": "array", "items": {"type": "string"}, "additionalItems": False}, ['["a", "b"]'], ["[1]"]),
        (an_object(a=True, b=True) | {"dependencies": {"a": ["b"]}}, ["{}", '{"b": 1}'], ['{"a": 1}']),
        (an_object(a=True, b=True) | {"dependencies": {"a": {"maxProperties": 1}}}, ['{"a": 1}'], ['{"a": 1, "b": 1}']),
        ({"$ref": "#/properties/params/properties/x/definitions/Own", "definitions": {"Own": {"type": "null"}}}, ["null"], ["1"]),
    ],
)  # fmt: skip
def test_a_schema_of_draft_7_keeps_its_meaning(
    tmp_path: Path, schema: object, accepted: list[str], refused: list[str]
) -> None:
    spec = of_draft7(an_object(x=schema), definitions={"Short": {"type": "string", "maxLength": 2}})
    with loaded(render_models(job(tmp_path, spec))) as module:
        for text in accepted:
            module.CaseParams.model_validate_json(f'{{"x": {text}}}')
        for text in refused:
            with pytest.raises(ValidationError):
                module.CaseParams.model_validate_json(f'{{"x": {text}}}')


def test_a_problem_has_its_place_in_the_file(tmp_path: Path) -> None:
    spec = of_draft7(
        an_object(x={"type": "array", "items": [{"type": "strng"}]}), definitions={"A": {"type": "string", "kind": 1}}
    )
    first, second = problems(tmp_path, {"case.json": spec})
    assert '/properties/params/properties/x/items/0/type "strng" is not' in first
    assert '/definitions/A/kind "kind" is not a keyword' in second
    assert all(int(line.split(":")[2].split()[0]) > 1 for line in (first, second))


@pytest.mark.parametrize("keyword", ["minLength", "default", "type", "$id", "properties", "x-shown"])
def test_keywords_beside_a_reference_are_reported_as_ineffective(tmp_path: Path, keyword: str) -> None:
    reference = {"$ref": "#/definitions/Short", keyword: {}}
    spec = of_draft7(an_object(x=reference), definitions={"Short": {"type": "string"}})
    (line,) = problems(tmp_path, {"case.json": spec})
    way_out = 'write "allOf": [{"$ref": …}] instead of $ref, or use draft 2020-12, where both hold'
    assert line.endswith(f"/x/{keyword} {keyword} has no effect beside $ref in draft 7; {way_out}")


@pytest.mark.parametrize(
    ("keyword", "instead"),
    [
        ("prefixItems", "write items, with a list"),
        ("dependentRequired", "write dependencies"),
        ("unevaluatedProperties", "write additionalProperties"),
        ("$defs", "write definitions"),
        ("$anchor", 'write "$id": "#name"'),
        ("minContains", "remove it"),
    ],
)
def test_a_keyword_of_later_drafts_is_none(tmp_path: Path, keyword: str, instead: str) -> None:
    (line,) = problems(tmp_path, {"case.json": of_draft7(an_object(x={"type": "string", keyword: {}}))})
    assert f"/{keyword} {keyword} is no keyword of draft 7; {instead}, or use draft 2020-12" in line


def test_a_problem_in_items_keeps_its_place_after_translation(tmp_path: Path) -> None:
    items = {"type": "array", "items": [{"type": "string", "$anchor": "a"}], "additionalItems": False}
    (line,) = problems(tmp_path, {"case.json": of_draft7(an_object(x=items))})
    assert "/x/items/0/$anchor $anchor is no keyword" in line


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("#/definitions/Shrt", 'case.json has no "Shrt" in /definitions (did you mean "#/definitions/Short"?)'),
        ("#/$defs/Short", 'case.json has no "$defs" (did you mean "#/definitions/Short"?)'),
        ("#/definitions/Short/items/7", 'case.json has no "7" in /definitions/Short/items'),
    ],
)
def test_a_broken_reference_is_named_as_written(tmp_path: Path, reference: str, expected: str) -> None:
    short = {"type": "array", "items": [{"type": "string"}]}
    spec = of_draft7(an_object(x={"$ref": reference}), definitions={"Short": short})
    (line,) = problems(tmp_path, {"case.json": spec})
    assert line.endswith(expected)


def test_schemas_are_found_by_their_names_wherever_a_translation_puts_them(tmp_path: Path) -> None:
    spec = of_draft7(
        an_object(
            x={"$ref": "#short"},
            y={"$ref": "https://example.com/short.json"},
            z={"$ref": "https://example.com/short.json#/definitions/Inner"},
        ),
        definitions={
            "Short": {"$id": "#short", "type": "integer"},
            "Other": {
                "$id": "https://example.com/short.json",
                "type": "integer",
                "definitions": {"Inner": {"type": "integer"}},
            },
        },
    )
    assert problems(tmp_path, {"case.json": spec}) == []


def test_two_schemas_of_one_name_are_reported(tmp_path: Path) -> None:
    spec = of_draft7(
        an_object(), definitions={"A": {"$id": "#a", "type": "string"}, "B": {"$id": "#a", "type": "null"}}
    )
    (line,) = problems(tmp_path, {"case.json": spec})
    assert '/definitions/B/$id "a" is the name of the schema in line 1 too' in line


def test_a_keyword_of_draft_7_is_none_in_later_drafts(tmp_path: Path) -> None:
    for keyword in ("definitions", "dependencies", "additionalItems"):
        (line,) = problems(tmp_path, {"case.json": a_spec(an_object(x={"type": "string", keyword: {}}))})
        assert f"{keyword} is not accepted: it belongs to an older draft" in line


def test_files_of_two_drafts_refer_to_each_other(tmp_path: Path) -> None:
    files = {
        "case.json": a_spec(an_object(x={"$ref": "shared/old.json#/definitions/A"})),
        "shared/old.json": {**DRAFT_7, "definitions": {"A": {"$ref": "new.json#/$defs/B"}}},
        "shared/new.json": {"$defs": {"B": {"type": "integer"}}},
    }
    specs = read(tmp_path, files)
    assert specs.problems == ()
    assert "x: Omittable[Integer]" in render_models(specs.jobs[0])
