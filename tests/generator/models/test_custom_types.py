"""Classes of the application for formats of its own."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from decimal import Decimal
from enum import Enum
from pathlib import Path, PurePosixPath
from types import ModuleType

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError
from server_jobs.contract.model import JobModel
from server_jobs.errors import ProjectError
from server_jobs_generator.ir.spec import JobSpec, check_specs, find_specs
from server_jobs_generator.models.model_module import render_all_models
from server_jobs_generator.python.custom_types import custom_types

from tests.generator.projects import make_project
from tests.generator.spec_projects import a_spec, an_object, loaded, write

TYPES = (("colour", "colours:Colour"), ("money", "decimal:Decimal"), ("path", "pathlib:PurePosixPath"))
MONEY = {"type": "string", "format": "money", "pattern": "^[0-9]+[.][0-9]{2}$"}
COLOUR = {"type": "string", "format": "colour", "enum": ["red", "blue"]}
PARAMS = an_object(
    price=MONEY,
    tip={"type": "string", "format": "money", "default": "0.50"},
    colour={"$ref": "#/$defs/Colour"},
    colours={"type": "array", "items": {"$ref": "#/$defs/Colour"}, "default": ["red"]},
    file={"type": ["string", "null"], "format": "path", "maxLength": 5},
    shade={"type": ["string", "null"], "format": "colour", "enum": ["red", None]},
    either={"oneOf": [{"type": "string", "format": "path"}, {"type": "integer"}]},
    byName={"type": "object", "additionalProperties": MONEY},
)
SPEC = a_spec(PARAMS, **{"$defs": {"Colour": COLOUR}})


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@pytest.fixture(autouse=True)
def colours() -> Iterator[ModuleType]:
    """Make the module of the application importable."""
    module = sys.modules["colours"] = ModuleType("colours")
    module.__dict__["Colour"] = Colour
    yield module
    del sys.modules["colours"]


def job(root: Path, spec: object = SPEC) -> JobSpec:
    specs = check_specs(find_specs(write(root, {"case.json": spec}), root / "specs"), dict(TYPES))
    assert [str(one) for one in (*specs.problems, *specs.warnings)] == []
    return specs.jobs[0]


@pytest.fixture
def model(tmp_path: Path) -> Iterator[type[JobModel]]:
    (text,) = render_all_models([job(tmp_path)], custom=custom_types(TYPES))
    with loaded(text) as module:
        yield module.CaseParams


def test_values_have_their_classes_in_python_and_are_texts_in_json(model: type[JobModel]) -> None:
    text = (
        '{"price":"2.00","tip":"1","colour":"blue","colours":["red"],"file":"a/b","either":"c","byName":{"x":"3.00"}}'
    )
    read = model.model_validate_json(text)

    values = {
        "price": Decimal("2.00"),
        "tip": Decimal(1),
        "colour": Colour.BLUE,
        "colours": [Colour.RED],
        "file": PurePosixPath("a/b"),
        "either": PurePosixPath("c"),
        "by_name": {"x": Decimal("3.00")},
    }
    assert read == model(**values)
    assert read.model_dump_json() == text
    whole = {"either": 1}
    assert model(**whole).model_dump_json() == '{"tip":"0.50","colours":["red"],"either":1}'


def test_defaults_are_values_of_the_class(model: type[JobModel]) -> None:
    assert model().__dict__.items() >= {"tip": Decimal("0.50"), "colours": [Colour.RED]}.items()


@pytest.mark.parametrize(
    "text",
    [
        *('{"price":"2.00"}', '{"price":"2"}', '{"price":2.00}', '{"price":null}', '{"colour":"red"}', '{"file":null}'),
        *(
            '{"colour":"green"}',
            '{"colours":["green"]}',
            '{"file":"abcdef"}',
            '{"shade":null}',
            '{"shade":"red"}',
            '{"shade":"blue"}',
            '{"either":true}',
            '{"byName":{"x":"1"}}',
        ),
    ],
)
def test_json_fits_as_the_schema_says(text: str, model: type[JobModel], tmp_path: Path) -> None:
    validator = Draft202012Validator(dict(job(tmp_path).params))
    if validator.is_valid(json.loads(text)):
        model.model_validate_json(text)
    else:
        with pytest.raises(ValidationError):
            model.model_validate_json(text)


def test_a_text_that_the_class_refuses_does_not_fit_and_is_not_shown(model: type[JobModel]) -> None:
    with pytest.raises(ValidationError) as caught:
        model.model_validate_json('{"tip":"much"}')

    assert [error["msg"] for error in caught.value.errors()] == ["Input should be of the format money"]


def test_python_values_are_checked_by_the_class_and_the_schema(model: type[JobModel]) -> None:
    for wrong in ({"price": Decimal(2)}, {"price": "2.00"}, {"colour": "red"}, {"file": PurePosixPath("abcdef")}):
        with pytest.raises(ValidationError):
            model(**wrong)


def test_an_enum_with_other_values_than_the_spec_cannot_be_imported(tmp_path: Path, colours: ModuleType) -> None:
    (text,) = render_all_models([job(tmp_path)], custom=custom_types(TYPES))
    colours.__dict__["Colour"] = Enum("Colour", {"RED": "red", "GREEN": "green"})

    expected = r"has the values \['red', 'green'\], and the spec lists \['red', 'blue'\]"
    with pytest.raises(ProjectError, match=expected), loaded(text):
        pass


def test_another_class_changes_the_models_and_leaves_the_contract(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"case": a_spec(an_object(price=MONEY))})
    settings = project.root / "pyproject.toml"
    settings.write_text(f'{settings.read_text()}\n[tool.server-jobs.types]\nmoney = "decimal:Decimal"\n')
    project.generate()
    before = project.files()
    settings.write_text(settings.read_text().replace("decimal:Decimal", "shop.money:Money"))

    project.generate()

    after = project.files()
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"pyproject.toml", "generated/models/case.py", "generated/manifest.json"}


@pytest.mark.parametrize(
    ("types", "message"),
    [
        ((("date", "pendulum:Date"),), "the format 'date' has a type already"),
        ((("id", "shop:UUID"),), "generated models use the name 'UUID' for another class; give shop:UUID another name"),
        ((("a", "one:Size"), ("b", "two:Size")), "types.b: generated models use the name 'Size'"),
    ],
)
def test_types_that_generated_models_cannot_use_are_refused(types: tuple[tuple[str, str], ...], message: str) -> None:
    with pytest.raises(ProjectError, match=message):
        custom_types(types)
