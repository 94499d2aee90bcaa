"""`oneOf` is checked only where two of its branches may fit."""

from __future__ import annotations

from pathlib import Path

import pytest
from server_jobs_generator.models.model_module import render_models

from tests.generator.spec_projects import Schema, a_spec, an_object, job

from .schemas import NUMBERS, TEXT


def models_of(root: Path, branches: object, **more: object) -> str:
    return render_models(job(root, a_spec(an_object(x={"oneOf": branches}), **more)))


def tagged(kind: object, **more: object) -> Schema:
    return {**an_object(kind=kind, **more), "required": ["kind"]}


@pytest.mark.parametrize(
    "branches",
    [
        [TEXT, {"type": "integer"}],
        [TEXT, {"type": ["null", "boolean"]}],
        [{"const": "a"}, {"const": "b"}],
        [{"const": 1}, {"const": True}, {"enum": ["x", None]}],
        [tagged({"const": "a"}), tagged({"const": "b"}), {"type": "null"}],
        [tagged({"enum": ["a", "c"]}), tagged({"enum": ["b"]})],
        [an_object(a=TEXT) | {"required": ["a"]}, an_object(b=TEXT) | {"required": ["b"]}],
        [an_object(a=TEXT, b=TEXT) | {"required": ["b"]}, an_object(a=TEXT)],
        [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/B"}],
        [{"anyOf": [{"$ref": "#/$defs/A"}, {"type": "null"}]}, {"$ref": "#/$defs/B"}],
    ],
)
def test_one_of_needs_no_check_where_its_branches_exclude_each_other(tmp_path: Path, branches: object) -> None:
    definitions = {"A": tagged({"const": "a"}), "B": tagged({"$ref": "#/$defs/Tag"}), "Tag": {"const": "b"}}
    assert '"oneOf"' not in models_of(tmp_path, branches, **{"$defs": definitions})


@pytest.mark.parametrize(
    "branches",
    [
        [TEXT, TEXT],
        [{"type": "integer"}, {"type": "number"}],
        [TEXT, True],
        [TEXT, {"enum": ["a"]}],
        [{"const": "a"}, {"enum": ["b", "a"]}],
        [{"type": ["string", "null"]}, {"type": ["integer", "null"]}],
        [an_object(kind={"const": "a"}), an_object(kind={"const": "b"})],
        [an_object(a=TEXT, b=TEXT) | {"required": ["a"]}, an_object(a=TEXT, b=TEXT) | {"required": ["b"]}],
        [an_object(a=TEXT), an_object(b=TEXT)],
        [tagged({"const": "a"}), tagged({"type": "string"})],
        [tagged({"const": "a"}), tagged({"const": "b"}), tagged({"const": "a"})],
        [NUMBERS, {"type": "array", "items": TEXT}],
    ],
)
def test_one_of_is_checked_where_two_branches_may_fit(tmp_path: Path, branches: object) -> None:
    assert '"oneOf"' in models_of(tmp_path, branches)
