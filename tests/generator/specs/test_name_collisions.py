"""Two names that become equal (in Python, in a database, on a file system) are rejected, and no others."""

# ruff: noqa: RUF001  # letters that look alike are the subject

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from server_jobs_generator.models.model_module import render_models
from server_jobs_generator.python.names import folded, python_names, stated_names

from tests.generator.spec_projects import Schema, a_spec, an_object, job, loaded, problems, read

TEXT = {"type": "string"}

SAME = [
    ("userId", "user_id"),
    ("user-id", "user id"),
    ("UserID", "user_ID"),
    ("ID", "id"),
    ("ﬁle", "file"),
    ("ſecret", "secret"),
    ("Straße", "strasse"),
    ("STRASSE", "straße"),
    ("Å", "A\u030a"),
    ("\u212b", "å"),
    ("é", "e\u0301"),
    ("ｎａｍｅ", "name"),
    ("x²", "x2"),
    ("ﬆop", "stop"),
    ("Ω", "\u2126"),
    ("K", "\u212a"),
    ("class", "class_"),
    ("model_dump", "modelDump"),
    ("1st", "field_1st"),
    ("a" * 120, "a" * 130),
    ("ΣΑΣ", "σας"),
]
DIFFERENT = [("file", "files"), ("a1", "a2"), ("user_id", "userid"), ("o", "0"), ("l", "1"), ("straße", "strase")]


@pytest.mark.parametrize("pair", SAME)
def test_properties_with_one_name_are_refused_at_the_second(tmp_path: Path, pair: tuple[str, str]) -> None:
    first, second = pair
    (line,) = problems(tmp_path, {"case.json": a_spec(an_object(**{first: TEXT, second: TEXT}))})
    assert 'give one of them another name there: "x-python-name": "other_name"' in line
    assert f"/properties/params/properties/{second} " in line


@pytest.mark.parametrize("pair", SAME)
def test_a_public_schema_may_have_properties_with_one_name(tmp_path: Path, pair: tuple[str, str]) -> None:
    schema = an_object(**dict.fromkeys(pair, TEXT)) | {"$schema": "http://json-schema.org/draft-07/schema#"}
    spec = job(tmp_path, a_spec(schema))
    with loaded(render_models(spec)) as module:
        document = dict(zip(pair, "xy", strict=True))
        model = module.CaseParams.model_validate(document)
        assert model.model_dump(by_alias=True) == document
        assert len({folded(name) for name in module.CaseParams.model_fields}) == 2


def test_a_name_that_two_properties_of_a_public_schema_state_is_refused(tmp_path: Path) -> None:
    key = TEXT | {"x-python-name": "key"}
    schema = an_object(a=key, b=key) | {"$schema": "http://json-schema.org/draft-07/schema#"}
    (line,) = problems(tmp_path, {"case.json": a_spec(schema)})
    assert '/properties/params/properties/b "b" and "a" are both key in Python' in line


def test_a_spec_with_the_schema_of_specs_is_no_public_schema(tmp_path: Path) -> None:
    spec = a_spec(an_object(userId=TEXT, user_id=TEXT), **{"$schema": "spec.schema.json"})
    (line,) = problems(tmp_path, {"case.json": spec})
    assert "are both user_id in Python" in line


@pytest.mark.parametrize(
    ("names", "attributes"),
    [
        (["line-length", "line_length"], ["line_length_2", "line_length"]),
        (["Type", "TYPE", "type_2"], ["type", "type_3", "type_2"]),
        (["Type", "type", "@type"], ["type_2", "type", "at_type"]),
    ],
)
def test_properties_of_a_public_schema_with_one_name_are_numbered(names: list[str], attributes: list[str]) -> None:
    assert list(python_names(dict.fromkeys(names, TEXT)).values()) == attributes


def test_a_stated_name_is_kept_where_another_property_has_it() -> None:
    assert python_names({"key": TEXT, "id": {"x-python-name": "key"}}) == {"key": "key_2", "id": "key"}


@pytest.mark.parametrize("pair", DIFFERENT)
def test_properties_with_two_names_are_two(tmp_path: Path, pair: tuple[str, str]) -> None:
    spec = job(tmp_path, a_spec(an_object(**dict.fromkeys(pair, TEXT))))
    with loaded(render_models(spec)) as module:
        document = dict.fromkeys(pair, "x")
        assert module.CaseParams.model_validate(document).model_dump(by_alias=True) == document


@given(st.lists(st.text(st.sampled_from("aAäÄßsSſKk\u212a²2ﬁfi_- "), min_size=1, max_size=4), min_size=2, max_size=4))
def test_no_two_fields_of_a_class_ever_have_one_name(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    properties = dict.fromkeys(dict.fromkeys(names), TEXT)
    specs = read(tmp_path_factory.mktemp("names"), {"case.json": a_spec(an_object(**properties))})
    keys = [folded(field) for field in stated_names(properties).values()]
    assert bool(specs.jobs) == (len(set(keys)) == len(properties))
    fields = python_names(properties)
    assert len({folded(field) for field in fields.values()}) == len(fields) == len(keys)


@pytest.mark.parametrize(
    ("names", "attributes"),
    [
        (["+1", "-1"], ["plus_1", "minus_1"]),
        (["source", "$source"], ["source", "dollar_source"]),
        (["birthDate", "_birthDate"], ["birth_date", "birth_date_"]),
        (["@type", "type"], ["at_type", "type"]),
        (["Pa.s", "Pa/s"], ["pa_dot_s", "pa_slash_s"]),
        (["$", "*"], ["dollar", "star"]),
        (["@type"], ["type"]),
    ],
)
def test_names_that_differ_in_a_sign_are_apart(tmp_path: Path, names: list[str], attributes: list[str]) -> None:
    spec = job(tmp_path, a_spec(an_object(**dict.fromkeys(names, TEXT))))
    with loaded(render_models(spec)) as module:
        document = dict.fromkeys(names, "x")
        assert list(module.CaseParams.model_fields) == attributes
        assert module.CaseParams.model_validate(document).model_dump(by_alias=True) == document


def test_a_property_may_state_its_name_in_python(tmp_path: Path) -> None:
    properties = {
        "userId": TEXT,
        "user_id": TEXT | {"x-python-name": "user_key"},
        "": TEXT | {"x-python-name": "empty"},
    }
    spec = job(tmp_path, a_spec(an_object(**properties)))
    with loaded(render_models(spec)) as module:
        assert list(module.CaseParams.model_fields) == ["user_id", "user_key", "empty"]
        document = dict.fromkeys(properties, "x")
        assert json.loads(module.CaseParams(user_id="x", user_key="x", empty="x").model_dump_json()) == document


@pytest.mark.parametrize("name", ["class", "userKey", "model_dump", "1st", "", 3, "user-key"])
def test_a_stated_name_that_python_cannot_have_is_refused(tmp_path: Path, name: object) -> None:
    (line,) = problems(tmp_path, {"case.json": a_spec(an_object(a=TEXT | {"x-python-name": name}))})
    assert "/a/x-python-name must be a name in Python such as plus_one, not " in line


@pytest.mark.parametrize(
    ("first", "second"), [("Ähre", "ähre"), ("A", "a"), ("ﬁle", "file"), ("é", "e\u0301"), ("Straße", "strasse")]
)
def test_shared_files_that_are_one_on_other_file_systems_are_refused(tmp_path: Path, first: str, second: str) -> None:
    both = {f"shared/{name}.json": TEXT for name in (first, second)}
    (line,) = problems(tmp_path, {"case.json": a_spec(), **both})
    assert "the file's name differs from" in line


@pytest.mark.parametrize("title", ["SendEMail", "SENDEMAIL"])
def test_jobs_that_differ_in_capitals_only_are_refused(tmp_path: Path, title: str) -> None:
    (line,) = problems(tmp_path, {"a.json": a_spec(title="SendEmail"), "b.json": a_spec(title=title)})
    assert "is taken by a.json (capitals aside); set another title" in line


def test_schedules_that_differ_in_capitals_only_are_refused(tmp_path: Path) -> None:
    schedules = [{"name": name, "cron": "0 0 * * *"} for name in ("nightly", "Nightly", "nightly-2")]
    (line,) = problems(tmp_path, {"case.json": a_spec(**{"x-job": {"schedules": schedules}})})
    assert '/x-job/schedules/1/name a schedule named "nightly" stands above; rename one of them' in line


def test_definitions_with_one_name_become_two_classes(tmp_path: Path) -> None:
    names = ["Address", "address", "ADDRESS", "ad-dress", "\uff21ddress", "ﬁle", "file"]
    properties: Schema = {f"p{number}": {"$ref": f"#/$defs/{name}"} for number, name in enumerate(names)}
    definitions = {name: {**an_object(**{f"own{n}": TEXT}), "required": [f"own{n}"]} for n, name in enumerate(names)}
    spec = job(tmp_path, a_spec(an_object(**properties), **{"$defs": definitions}))
    with loaded(render_models(spec)) as module:
        document = {f"p{number}": {f"own{number}": "x"} for number in range(len(names))}
        assert module.CaseParams.model_validate_json(json.dumps(document)).model_dump(exclude_unset=True) == document


def test_values_of_an_enum_stay_apart_however_alike_they_are(tmp_path: Path) -> None:
    values = ["file", "ﬁle", "File", "FILE", "é", "e\u0301", "straße", "strasse", "ſ", "s"]
    spec = job(tmp_path, a_spec(an_object(x={"enum": values})))
    with loaded(render_models(spec)) as module:
        assert [module.CaseParams.model_validate({"x": value}).x for value in values] == values
