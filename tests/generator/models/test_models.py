"""The names of the classes in modules of models."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from server_jobs_generator.models.model_module import render_models
from server_jobs_generator.python.code_check import IMPORTABLE
from server_jobs_generator.python.names import property_name

from tests.generator.spec_projects import a_spec, an_object, job, loaded, params_model

TEXT = {"type": "string"}
ITEM = an_object(a=TEXT)


def classes(root: Path, spec: object) -> list[str]:
    """Return the models in the order of the module."""
    with loaded(render_models(job(root, spec))) as module:
        return [
            name for name, value in vars(module).items() if isinstance(value, type) and hasattr(value, "model_fields")
        ]


def test_classes_are_named_after_properties_and_definitions(tmp_path: Path) -> None:
    params = an_object(
        address=ITEM,
        tags={"type": "array", "items": an_object(b=TEXT)},
        byName={"type": "object", "additionalProperties": an_object(c=TEXT)},
        pair={"type": "array", "prefixItems": [TEXT, an_object(d=TEXT)], "items": False, "minItems": 2},
        maybe={"anyOf": [an_object(e=TEXT), {"type": "null"}]},
        either={"anyOf": [an_object(f=TEXT), an_object(g=TEXT)]},
        shared={"$ref": "#/$defs/some-thing"},
    )
    names = classes(tmp_path, a_spec(params, **{"$defs": {"some-thing": an_object(h=TEXT)}}))
    expected = ["Address", "TagsItem", "ByNameValue", "PairItem2", "Maybe", "Either1", "Either2", "SomeThing"]
    assert names == ["JobModel", *expected, "CaseParams", "CaseResult"]


@pytest.mark.parametrize(
    "taken", ["CaseParams", "CaseResult", "CaseParamsDict", "Email", "Field", "JobModel", "Exception"]
)
def test_no_definition_takes_a_name_that_is_in_use(tmp_path: Path, taken: str) -> None:
    params = an_object(
        x={"$ref": f"#/$defs/{taken}"},
        mail={"type": "string", "format": "email"},
        aliasOf={"type": "string", "maxLength": 3},
    )
    spec = job(tmp_path, a_spec(params, an_object(r=TEXT), **{"$defs": {taken: an_object(own=TEXT)}}))
    with loaded(render_models(spec)) as module:
        assert set(module.CaseParams.model_fields) == {"x", "mail", "alias_of"}
        assert set(module.CaseResult.model_fields) == {"r"}
        assert module.CaseParams.model_validate_json('{"x": {"own": "a"}}').x.own == "a"


def test_a_property_never_hides_a_name_of_its_class(tmp_path: Path) -> None:
    formats = ("date", "date-time", "uuid", "ipv4", "ipv6", "email", "hostname", "uri", "time", "duration")
    names = {property_name(name): name for name in sorted(IMPORTABLE | {"list", "dict", "str", "int"})}.values()
    properties: dict[str, object] = {name: {"type": "array", "items": True, "default": []} for name in names}
    properties |= {f"a {name}": {"type": "string", "format": name} for name in formats}
    properties |= {"code": {"enum": [1, True]}, "ratio": {"type": "number"}, "count": {"type": "integer"}}
    properties |= {"days": {"type": "array", "items": {"type": "string", "format": "date"}, "default": ["2026-03-29"]}}
    with loaded(render_models(job(tmp_path, a_spec(an_object(**properties))))) as module:
        values = module.CaseParams.model_validate_json('{"code": true, "ratio": 1}').model_dump(mode="json")
        assert [values[name] for name in names] == [[]] * len(names)
        assert values["days"] == ["2026-03-29"]


def test_equal_names_in_different_places_get_different_names(tmp_path: Path) -> None:
    home = an_object(address=an_object(street=TEXT))
    work = an_object(address=an_object(floor={"type": "integer"}))
    names = classes(tmp_path, a_spec(an_object(home=home, work=work)))
    assert names == ["JobModel", "Address", "Home", "WorkAddress", "Work", "CaseParams", "CaseResult"]


def test_one_definition_is_one_class_for_params_and_result(tmp_path: Path) -> None:
    point = {"$ref": "#/$defs/Point"}
    spec = a_spec(an_object(a=point, b=point), an_object(c=point), **{"$defs": {"Point": ITEM}})
    assert classes(tmp_path, spec) == ["JobModel", "Point", "CaseParams", "CaseResult"]


def test_only_documents_of_params_have_a_typed_dict(tmp_path: Path) -> None:
    text = render_models(job(tmp_path, a_spec(an_object(a=ITEM), an_object(b=an_object(c=TEXT)))))
    assert "class ADict(TypedDict)" in text
    assert "class BDict" not in text


def test_documents_that_have_more_properties_by_an_alternative_are_dicts_of_any(tmp_path: Path) -> None:
    closed = {"type": "object", "unevaluatedProperties": False, "properties": {"a": TEXT}}
    branches = {"oneOf": [{"required": ["b"], "properties": {"b": TEXT}}, {"required": ["a"]}]}
    conditional = {**closed, "if": {"required": ["a"]}, "then": {"properties": {"c": TEXT}}}
    known = {**closed, "anyOf": [{"required": ["a"]}, {"properties": {"a": {"const": "x"}}}]}
    params = an_object(one={**closed, **branches}, two=conditional, three=known)
    text = render_models(job(tmp_path, a_spec(params)))
    assert "OneDict = dict[str, JsonValue]" in text
    assert "TwoDict = dict[str, JsonValue]" in text
    assert "class ThreeDict(TypedDict)" in text


def test_repr_masks_redacted_values_and_dumps_have_them(tmp_path: Path) -> None:
    card = an_object(number={"type": "string"}, holder={"type": "string"})
    headers = {"type": "object", "additionalProperties": {"type": "string"}, "properties": {"x": {"type": "string"}}}
    params = an_object(
        theCard={"$ref": "#/$defs/Card"}, cards={"type": "array", "items": card}, headers=headers, pin=True
    )
    redact = ["/theCard/number", "/cards/0/holder", "/headers/token", "/pin"]
    document = {
        "theCard": {"number": "4711", "holder": "Ada"},
        "cards": [{"number": "4712"}],
        "headers": {"x": "1", "token": "4713", "other": "2"},
        "pin": "4714",
    }
    with params_model(tmp_path, params, **{"$defs": {"Card": card}, "x-job": {"redact": redact}}) as model:
        value = model.model_validate_json(json.dumps(document))
        parts = ("the_card=Card(number=•••, holder='Ada')", "cards=•••", "headers=Headers(x='1', token=•••, other='2')")
        assert str(value) == " ".join((*parts, "pin=•••"))
        assert repr(value) == f"CaseParams({', '.join((*parts, 'pin=•••'))})"
        assert value.model_dump() == document


@pytest.mark.parametrize("redact", [[""], ["/number"]])
def test_repr_masks_redacted_values_of_a_union(tmp_path: Path, redact: list[str]) -> None:
    branches: list[object] = [
        {**an_object(kind={"const": kind}, number={"type": "string"}), "required": ["kind"]} for kind in ("a", "b")
    ]
    specs = a_spec({"oneOf": branches}, **{"x-job": {"redact": redact}})
    with loaded(render_models(job(tmp_path, specs))) as module:
        value = module.CaseParams.model_validate_json('{"kind": "b", "number": "4711"}')
        assert "4711" not in repr(value)
        assert "number=•••" in repr(value)
