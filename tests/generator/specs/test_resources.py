"""Schemas are found by the names and URIs that they give themselves; nothing is ever fetched."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from server_jobs_generator.models.model_module import render_models

from tests.generator.spec_projects import Schema, a_spec, an_object, problems, read

URL = "https://example.com/schemas/address.json"


def with_address(reference: str, **address: object) -> dict[str, object]:
    shared = {"$id": URL, "$defs": {"Zip": {"type": "integer", "$anchor": "zip"}}, **address}
    return {"case.json": a_spec(an_object(x={"$ref": reference})), "shared/address.json": shared}


@pytest.mark.parametrize(
    "reference",
    [
        f"{URL}#/$defs/Zip",
        f"{URL}#zip",
        "shared/address.json#zip",
        "shared/address.json#/$defs/Zip",
        "./shared/../shared/address.json#/$defs/Zip",
    ],
)
def test_a_schema_is_found_by_its_names(tmp_path: Path, reference: str) -> None:
    specs = read(tmp_path, with_address(reference))
    assert specs.problems == ()
    assert "x: Omittable[Integer]" in render_models(specs.jobs[0])


def test_a_reference_is_relative_to_the_uri_around_it(tmp_path: Path) -> None:
    inner: Schema = {
        "$id": "https://example.com/a/b.json",
        "$ref": "c.json",
        "$defs": {"C": {"$id": "c.json", "const": 1}},
    }
    specs = read(tmp_path, {"case.json": a_spec(an_object(x=inner))})
    assert specs.problems == ()
    assert "Literal[1]" in render_models(specs.jobs[0])


def test_two_schemas_of_one_uri_are_neither(tmp_path: Path) -> None:
    files = with_address(f"{URL}#/$defs/Zip")
    files["shared/other.json"] = files["shared/address.json"]
    (line,) = problems(tmp_path, files)
    assert "is the URI of schemas in shared/address.json and shared/other.json; refer to the one that is meant" in line


def test_of_many_files_with_one_uri_two_are_named(tmp_path: Path) -> None:
    files = with_address(f"{URL}#/$defs/Zip")
    files |= {f"shared/other{number}.json": files["shared/address.json"] for number in range(30)}
    (line,) = problems(tmp_path, files)
    assert "in shared/address.json and shared/other0.json and 29 more files; refer to the one" in line


@pytest.mark.parametrize(
    ("keyword", "name", "advice"),
    [
        ("$anchor", "zip", "give it another name"),
        ("$id", "https://example.com/zip.json", "give it another URI, or a name by $anchor"),
    ],
)
def test_a_file_gives_a_name_once(tmp_path: Path, keyword: str, name: str, advice: str) -> None:
    spec = a_spec(
        an_object(x={"$ref": name if keyword == "$id" else f"#{name}"}),
        **{"$defs": {"Zip": {"type": "integer", keyword: name}, "Code": {"type": "string", keyword: name}}},
    )
    (line,) = problems(tmp_path, {"case.json": spec})
    assert f"/$defs/Code/{keyword} {json.dumps(name)} is the name of the schema in line 1 too; {advice}" in line


def test_a_file_may_give_a_name_again_that_no_reference_uses(tmp_path: Path) -> None:
    params = an_object(x={"$id": URL, "type": "string"}, y={"$id": URL, "type": "string", "maxLength": 1})
    assert problems(tmp_path, {"case.json": a_spec(params)}) == []


def test_a_pointer_into_a_schema_whose_name_is_given_again_is_refused(tmp_path: Path) -> None:
    inner = {"$id": URL, "$ref": "#/$defs/A", "$defs": {"A": {"type": "string"}}}
    lines = problems(tmp_path, {"case.json": a_spec(an_object(x=inner, y={"$id": URL, "type": "string"}))})
    assert any("is the name of the schema in line 1 too" in line for line in lines)


def test_files_may_give_the_same_name(tmp_path: Path) -> None:
    zip_code = {"$defs": {"Zip": {"type": "integer", "$anchor": "zip"}}}
    files = {"case.json": a_spec(an_object(x={"$ref": "shared/a.json#zip"}), **zip_code), "shared/a.json": zip_code}
    assert problems(tmp_path, files) == []


def test_in_one_file_its_own_uri_is_meant(tmp_path: Path) -> None:
    own = {"A": {"$id": URL, "type": "string"}}
    files = {
        "case.json": a_spec(an_object(x={"$ref": URL}), **{"$defs": own}),
        "shared/address.json": {"$id": URL, "type": "integer"},
    }
    specs = read(tmp_path, files)
    assert specs.problems == ()
    assert "x: Omittable[str]" in render_models(specs.jobs[0])


@pytest.mark.parametrize("reference", ["https://example.com/other.json", f"{URL}#none", "#none", "urn:x"])
def test_a_name_that_nothing_has_is_refused(tmp_path: Path, reference: str) -> None:
    (line,) = problems(tmp_path, with_address(reference))
    assert "/$ref" in line


def test_schemas_with_uris_of_their_own_may_have_equal_anchors(tmp_path: Path) -> None:
    definitions = {"A": {"type": "integer", "$anchor": "a"}, "B": {"$id": URL, "type": "string", "$anchor": "a"}}
    assert problems(tmp_path, {"case.json": a_spec(an_object(), **{"$defs": definitions})}) == []
