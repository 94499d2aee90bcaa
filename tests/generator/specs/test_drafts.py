"""A schema has the meaning of its draft, and its problems show the places in the file."""

# ruff: noqa: E501  # each schema and its valid and invalid values are one line, like the rows of a table

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError
from server_jobs_generator.models.model_module import render_models

from tests.generator.spec_projects import Schema, a_spec, an_object, findings, job, loaded, params_model, problems, read

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
    first, second = findings(tmp_path, {"case.json": spec})
    assert '/properties/params/properties/x/items/0/type "strng" is not' in first
    assert '/definitions/A/kind "kind" is not a keyword' in second
    assert all(int(line.removeprefix("warning: ").split(":")[2].split()[0]) > 1 for line in (first, second))


@pytest.mark.parametrize("keyword", ["minLength", "default", "type", "$id", "properties", "x-shown"])
def test_keywords_beside_a_reference_are_reported_as_ineffective(tmp_path: Path, keyword: str) -> None:
    reference = {"$ref": "#/definitions/Short", keyword: {}}
    spec = of_draft7(an_object(x=reference), definitions={"Short": {"type": "string"}})
    (line,) = findings(tmp_path, {"case.json": spec})
    assert line.startswith("warning: ")
    assert line.endswith(f"/x/{keyword} {keyword} has no effect beside $ref in draft 7; write it into an allOf")


@pytest.mark.parametrize(
    ("draft", "keyword", "instead"),
    [
        ("draft-07", "prefixItems", "write items, with a list"),
        ("draft-07", "dependentRequired", "write dependencies"),
        ("draft-07", "$anchor", 'write "$id": "#name"'),
        ("draft-07", "minContains", None),
        ("draft-07", "nullable", 'write "type": ["…", "null"]'),
        ("draft-06", "if", None),
        ("draft-04", "const", "write enum"),
        ("draft-04", "$id", "write id"),
    ],
)
def test_a_keyword_of_later_drafts_has_no_effect(tmp_path: Path, draft: str, keyword: str, instead: str | None) -> None:
    old = {"$schema": f"http://json-schema.org/{draft}/schema#", "type": "string", keyword: True}
    (line,) = findings(tmp_path, {"case.json": a_spec(an_object(x=old))})
    advice = "" if instead is None else f"; {instead}"
    assert line.startswith("warning: ")
    assert line.endswith(
        f"/x/{keyword} {keyword} is no keyword of {draft.replace('-0', ' ')}, and has no effect{advice}"
    )


def test_a_problem_in_items_keeps_its_place_after_translation(tmp_path: Path) -> None:
    items = {"type": "array", "items": [{"type": "string", "$anchor": "a"}], "additionalItems": False}
    (line,) = findings(tmp_path, {"case.json": of_draft7(an_object(x=items))})
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
    definitions = {"A": {"$id": "#a", "type": "string"}, "B": {"$id": "#a", "type": "null"}}
    spec = of_draft7(an_object(x={"$ref": "#a"}), definitions=definitions)
    (line,) = problems(tmp_path, {"case.json": spec})
    assert '/definitions/B/$id "a" is the name of the schema in line 1 too' in line


@pytest.mark.parametrize("keyword", ["dependencies", "additionalItems", "id", "nullable"])
def test_a_keyword_of_earlier_drafts_has_no_effect(tmp_path: Path, keyword: str) -> None:
    new = {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "string", keyword: True}
    (line,) = findings(tmp_path, {"case.json": a_spec(an_object(x=new))})
    assert f"/x/{keyword} {keyword} is no keyword of draft 2020-12, and has no effect; write " in line


UNSTATED = {"type": "object", "additionalProperties": True, "properties": {"n": {"type": "number"}}}
LIMITED = {"type": "number", "minimum": 3, "exclusiveMinimum": True, "maximum": 5, "exclusiveMaximum": False}


@pytest.mark.parametrize(
    ("schema", "accepted", "refused"),
    [
        (LIMITED, ["3.1", "5"], ["3", "5.1"]),
        ({"type": "array", "items": [{"type": "string"}], "additionalItems": False}, ['["a"]'], ["[1]", '["a", 1]']),
        ({"type": "array", "items": [], "additionalItems": {"type": "string"}}, ["[]", '["a"]'], ["[1]"]),
        (UNSTATED | {"dependencies": {"n": ["m"], "m": {"minProperties": 3}}}, ["{}", '{"n": 1, "m": 1, "o": 1}'], ['{"n": 1}', '{"m": 1}']),
        ({"type": "string", "nullable": True}, ["null", '"a"'], ["1"]),
        ({"type": ["string", "null"], "nullable": True}, ["null", '"a"'], ["1"]),
        ({"type": "string", "nullable": False}, ['"a"'], ["null"]),
        ({"enum": ["a"], "type": "string", "nullable": True}, ['"a"'], ["null"]),
        ({"$ref": "#/definitions/Short", "minLength": 2}, ['"ab"'], ['"a"', '"abc"']),
        ({"$ref": "#/components/schemas/Short"}, ['"ab"'], ['"abc"']),
    ],
)  # fmt: skip
def test_a_schema_without_a_draft_is_read_by_its_words(
    tmp_path: Path, schema: object, accepted: list[str], refused: list[str]
) -> None:
    short = {"Short": {"type": "string", "maxLength": 2}}
    params = an_object(x=schema) | {"definitions": short, "components": {"schemas": short}}
    with params_model(tmp_path, params) as model:
        for text in accepted:
            model.model_validate_json(f'{{"x": {text}}}')
        for text in refused:
            with pytest.raises(ValidationError):
                model.model_validate_json(f'{{"x": {text}}}')


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "number", "exclusiveMinimum": True}, "exclusiveMinimum has no effect without minimum"),
        ({"nullable": True, "enum": ["a", None]}, "nullable has no effect without type"),
    ],
)
def test_a_word_of_an_older_draft_that_says_nothing_is_reported(tmp_path: Path, schema: object, message: str) -> None:
    (line,) = findings(tmp_path, {"case.json": a_spec(an_object(x=schema))})
    assert line.startswith("warning: ")
    assert line.endswith(message)


@pytest.mark.parametrize(
    ("draft", "message"),
    [("draft-04", "must be true or false in draft 4, not 3"), ("draft-06", "must be a number, not true")],
)
def test_a_limit_of_another_draft_is_refused(tmp_path: Path, draft: str, message: str) -> None:
    value = 3 if draft == "draft-04" else True
    old = {"$schema": f"http://json-schema.org/{draft}/schema#", "type": "number", "minimum": 1}
    (line,) = problems(tmp_path, {"case.json": a_spec(an_object(x={**old, "exclusiveMinimum": value}))})
    assert line.endswith(f"/x/exclusiveMinimum {message}")


def test_items_that_contains_evaluates_in_later_drafts_only_are_refused(tmp_path: Path) -> None:
    schema = {"type": "array", "contains": {"type": "string"}, "unevaluatedItems": False}
    for year, count in (("2019-09", 1), ("2020-12", 0)):
        dialect = f"https://json-schema.org/draft/{year}/schema"
        lines = problems(tmp_path, {"case.json": a_spec(an_object(x={"$schema": dialect, **schema}))})
        assert len(lines) == count
        assert all(
            "/x/unevaluatedItems unevaluatedItems decides in draft 2019-09 without contains" in line for line in lines
        )


def test_a_schema_of_draft_4_names_its_parts_by_id(tmp_path: Path) -> None:
    old = {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "id": "https://example.com/order.json",
        "type": "object",
        "properties": {
            "a": {"$ref": "#short"},
            "b": {"$ref": "https://example.com/short.json"},
            "c": {"$ref": "order.json#/definitions/Short"},
        },
        "definitions": {"Short": {"id": "#short", "type": "integer"}, "Other": {"id": "short.json", "type": "null"}},
    }
    with params_model(tmp_path, old) as model:
        model.model_validate_json('{"a": 1, "b": null, "c": 1}')
        for text in ('{"a": null}', '{"b": 1}', '{"c": null}'):
            with pytest.raises(ValidationError):
                model.model_validate_json(text)


def test_a_schema_keeps_its_references_where_it_is_pasted(tmp_path: Path) -> None:
    tree = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {"kids": {"type": "array", "items": {"$ref": "#"}}, "size": {"$ref": "#/definitions/Size"}},
        "definitions": {"Size": {"type": "integer"}},
    }
    with params_model(tmp_path, tree) as model:
        model.model_validate_json('{"kids": [{"kids": [], "size": 1}]}')
        for text in ('{"kids": [{"size": "1"}]}', '{"kids": [1]}'):
            with pytest.raises(ValidationError):
                model.model_validate_json(text)


def test_files_of_two_drafts_refer_to_each_other(tmp_path: Path) -> None:
    files = {
        "case.json": a_spec(an_object(x={"$ref": "shared/old.json#/definitions/A"})),
        "shared/old.json": {**DRAFT_7, "definitions": {"A": {"$ref": "new.json#/$defs/B"}}},
        "shared/new.json": {"$defs": {"B": {"type": "integer"}}},
    }
    specs = read(tmp_path, files)
    assert specs.problems == ()
    assert "x: Omittable[Integer]" in render_models(specs.jobs[0])
