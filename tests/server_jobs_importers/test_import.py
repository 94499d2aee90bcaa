"""`server-jobs import` writes specs that decide as their source does, and lists the rest."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID, uuid4

import pytest
from annotated_types import Not, Predicate
from pydantic import (
    UUID4,
    AwareDatetime,
    BaseModel,
    Field,
    FilePath,
    FutureDate,
    HttpUrl,
    SecretStr,
    StringConstraints,
    create_model,
)
from server_jobs_cli.generator import write_specs
from server_jobs_importers.comparison import compare_params
from server_jobs_importers.found_job import Found, found_each
from server_jobs_importers.imported import imported
from server_jobs_importers.python_types import type_schema
from server_jobs_importers.signatures import job_of_function

from tests.generator.projects import TemporaryProject, make_project
from tests.slow import slow

MODELS = '''\
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator
from tests.slow import slow


class Address(BaseModel):
    model_config = ConfigDict(extra="forbid", regex_engine="python-re")
    street: str
    code: Annotated[str, Field(pattern=r"^(?!0)[0-9]+$")]


class Post(BaseModel):
    kind: Literal["post"]
    to: Address


class Mail(BaseModel):
    kind: Literal["mail"]
    to: list[str] = Field(min_length=1, max_length=3)


class SendLetter(BaseModel):
    """Send one letter."""

    model_config = ConfigDict(extra="forbid")
    way: Annotated[Post | Mail, Field(discriminator="kind")]
    copies: int = Field(1, ge=1, le=9, alias="numberOfCopies")
    at: datetime | None = None
    then: Callable[[], int] | None = None

    @field_validator("copies")
    @classmethod
    def is_odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError
        return value


class SendLetterResult(BaseModel):
    id: str
'''

TASKS = '''\
async def resize_image(source: str, width: int = 100, *sizes: int, quality=80, day=None) -> list[str]:
    """Resize one image."""
    return []


def clean_up(days: int = 30) -> None: ...


def _helper(days: int) -> None: ...
'''


@pytest.fixture
def project(tmp_path: Path) -> TemporaryProject:
    """Return a project with the package `shop`."""
    project = make_project(tmp_path / "project", {})
    for name, text in {
        "__init__": "",
        "models": MODELS,
        "tasks": TASKS,
        "broken": "import nothing_of_this_name\n",
    }.items():
        path = project.root / "shop" / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return project


def left_out(project: TemporaryProject, *arguments: str) -> list[tuple[str, str]]:
    """Import, and return the place and the name of each part that was left out."""
    result = project.run("import", *arguments, "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.output)
    return [(part["place"], part["what"]) for spec in document["specs"] for part in spec["left_out"]]


def test_models_become_params_and_results_and_the_rest_is_listed(project: TemporaryProject) -> None:
    found = left_out(project, "pydantic", "shop.models")
    spec = json.loads(project.read("specs/send_letter.json"))
    assert spec["description"] == "Send one letter."
    assert spec["params"]["required"] == ["way"]
    assert spec["params"]["properties"]["numberOfCopies"] == {
        "type": "integer",
        "default": 1,
        "maximum": 9,
        "minimum": 1,
    }
    assert "then" not in spec["params"]["properties"]
    assert sorted(spec["$defs"]) == ["Address", "Mail", "Post"]
    assert spec["result"]["properties"] == {"id": {"type": "string"}}
    assert found == [
        ("shop.models:SendLetter(numberOfCopies)", "validator is_odd"),
        ("shop.models:SendLetter(then)", "type callable"),
        ("shop.models:SendLetter", "extra properties"),
        ("shop.models:SendLetter#/$defs/Address/properties/code/pattern", 'pattern "^(?!0)[0-9]+$"'),
        # Values on which the two disagree.
        ("shop.models:SendLetter /at", 'value "2030-01-31T09:00:00"'),
        ("shop.models:SendLetter /way/to/code", 'value "text"'),
        ("shop.models:SendLetter /numberOfCopies", "value 2"),
        ("shop.models:SendLetter /numberOfCopies", "value true"),
    ]
    assert project.run("check").exit_code == 0


def test_functions_become_jobs_with_a_property_for_each_parameter(project: TemporaryProject) -> None:
    found = left_out(project, "functions", "shop.tasks", "--only", "resize-image")
    assert json.loads(project.read("specs/resize_image.json")) == {
        "$schema": "../generated/spec.schema.json",
        "description": "Resize one image.",
        "x-job": {},
        "params": {
            "type": "object",
            "additionalProperties": False,
            "required": ["source"],
            "properties": {
                "source": {"type": "string"},
                "width": {"type": "integer", "default": 100},
                "quality": {"default": 80},
                "day": {"default": None},
            },
        },
        "result": {
            "type": "object",
            "additionalProperties": False,
            "required": ["value"],
            "properties": {"value": {"type": "array", "items": {"type": "string"}}},
        },
    }
    assert found == [
        ("shop.tasks:resize_image(*sizes)", "parameter *sizes"),
        ("shop.tasks:resize_image(quality)", "type"),
        ("shop.tasks:resize_image(day)", "type"),
        (
            "shop.tasks:resize_image(return)",
            'a value that is no object, such as {"type": "array", "items": {"type": "string"}}',
        ),
        ("shop.tasks:resize_image /width", "value true"),
    ]
    assert not project.path("specs/clean_up.json").exists()


@pytest.mark.slow
def test_the_stub_of_a_plain_function_is_plain_too(project: TemporaryProject) -> None:
    assert project.run("import", "functions", "shop.tasks").exit_code == 0
    stubs = [project.read(f"handlers/{name}.py") for name in ("clean_up", "resize_image")]
    assert ["\nasync def handle(" in stub for stub in stubs] == [False, True]
    assert "\ndef handle(params: CleanUpParams, context: JobContext) -> None:" in stubs[0]
    assert project.run("check").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("functions", "shop.broken"), "shop.broken cannot be imported: ModuleNotFoundError"),
        slow(("functions", "shop.missing"), "; a name in a module stands after a colon: shop:missing"),
        (("functions", "shop.tasks:resize_imag"), "shop.tasks has no 'resize_imag' (did you mean \"resize_image\"?)"),
        slow(
            ("functions", "shop/tasks.py"),
            "'shop/tasks.py' is the path of a file; write the module instead: shop.tasks",
        ),
        slow(
            ("functions", "./src/shop/tasks.py:send"),
            "is the path of a file; write the module instead: shop.tasks:send",
        ),
        slow(("rq", "shop/__init__.py"), "is the path of a file; write the module instead: shop"),
        slow(("functions", "shop.models"), "shop.models defines no public function"),
        slow(("pydantic", "shop.tasks"), "shop.tasks defines no Pydantic model"),
        (
            ("functions", "shop.tasks", "--only", "resize"),
            "there is no job 'resize' in the source; it has ResizeImage, CleanUp",
        ),
        (("functions", "shop.tasks:clean_up"), "specs/clean_up.json exists already, so nothing was written"),
    ],
)
def test_a_refused_import_leaves_nothing(project: TemporaryProject, arguments: tuple[str, ...], message: str) -> None:
    project.write_spec("clean_up", {"params": {"type": "object", "additionalProperties": False}})
    before = project.files()
    result = project.run("import", *arguments)
    assert result.exit_code in (1, 2, 3)
    assert message in result.output
    assert project.files() == before


@pytest.mark.slow
def test_a_dry_run_shows_the_change_that_force_makes(project: TemporaryProject) -> None:
    project.write_spec("clean_up", {"params": {"type": "object", "additionalProperties": False}})
    before = project.files()
    shown = project.run("import", "functions", "shop.tasks:clean_up", "--diff").output
    assert "would update specs/clean_up.json" in shown
    assert '+    "properties": {"days": {"type": "integer", "default": 30}}' in shown
    document = json.loads(project.run("import", "functions", "shop.tasks", "--diff", "--json").output)
    assert [(spec["action"], "+++" in spec["diff"]) for spec in document["specs"]] == [
        ("create", True),
        ("update", True),
    ]
    assert (document["written"], project.files() == before) == (False, True)
    assert "wrote specs/clean_up.json" in project.run("import", "functions", "shop.tasks:clean_up", "--force").output
    assert "nothing changed" in project.run("import", "functions", "shop.tasks:clean_up").output


def test_a_spec_that_does_not_fit_the_others_leaves_nothing(project: TemporaryProject) -> None:
    project.write_spec("other", {"title": "CleanUp", "params": {"type": "object", "additionalProperties": False}})
    before = project.files()
    result = project.run("import", "functions", "shop.tasks")
    assert (result.exit_code, "[NAME_TAKEN]" in result.output) == (1, True)
    (problem,) = json.loads(project.run("import", "functions", "shop.tasks", "--json").output)["problems"]
    assert problem["rule"] == "NAME_TAKEN"
    assert project.files() == before


SHORT: str = Field("a", max_length=2)
SECRET = SecretStr("x")


@pytest.mark.parametrize("is_protected", [True, False])
def test_an_import_that_breaks_a_released_contract_leaves_nothing(
    project: TemporaryProject, is_protected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = '{"params": {"type": "object",\r\n"additionalProperties": false}}'
    project.path("specs/resize_image.json").write_bytes(spec.encode())
    project.generate()
    before = project.files()
    if not is_protected:
        monkeypatch.setattr(write_specs, "_restore", lambda *_: None)
    result = project.run("import", "functions", "shop.tasks", "--force")
    assert (result.exit_code, "[REQUIRED_ADDED]" in result.output) == (1, True)
    assert (project.files() == before) is is_protected


@pytest.mark.slow
def test_imported_specs_of_jobs_that_were_never_queued_may_change_freely(project: TemporaryProject) -> None:
    tasks = project.path("shop/tasks.py")
    first = project.run("import", "functions", "shop.tasks").output
    (advice,) = [line for line in first.splitlines() if "while none of these jobs was queued" in line]
    command = advice.rpartition("server-jobs ")[2].split()
    assert command == ["generate", "--relock", "ResizeImage,CleanUp"]
    for name in ("resize_image", "clean_up"):
        spec = project.path(f"specs/{name}.json")
        document = json.loads(spec.read_text(encoding="utf-8"))
        document["params"]["required"] = sorted(document["params"]["properties"])
        spec.write_text(json.dumps(document), encoding="utf-8")
    assert project.run("generate").exit_code == 1
    assert project.run(*command).exit_code == 0

    tasks.write_text("def clean_up(days: str, hours: int) -> None: ...\n", encoding="utf-8")
    assert project.run("import", "functions", "shop.tasks", "--force").exit_code == 1
    assert project.run("import", "functions", "shop.tasks", "--force", "--relock").exit_code == 0


def test_relock_of_an_import_needs_force(project: TemporaryProject) -> None:
    result = project.run("import", "functions", "shop.tasks", "--relock")
    assert (result.exit_code, "add --force" in result.output) == (2, True)


def test_a_module_with_a_function_that_cannot_be_read_imports_the_others() -> None:
    def plain(since: int = None, token: SecretStr = SECRET, *, copy: str = SHORT) -> None: ...  # type: ignore[assignment]  # noqa: RUF013

    def unknown(a: "Nothing") -> None: ...  # type: ignore[name-defined]  # noqa: F821, UP037

    functions: dict[str, Callable[..., object]] = {"plain": plain, "unknown": unknown}
    found = found_each(functions.items(), lambda place, one: job_of_function(one, name=place, place=place))
    result = imported(found, "spec.schema.json")
    assert [part.why for part in result.failed] == [
        "the signature of unknown cannot be read: NameError: name 'Nothing' is not defined"
    ]
    spec = json.loads(result.specs[0].text)
    assert spec["x-job"] == {"redact": ["/token"]}
    assert spec["params"]["properties"] == {
        "since": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None},
        "token": {"type": "string", "format": "password", "writeOnly": True},
        "copy": {"type": "string", "default": "a", "maxLength": 2},
    }


class Connection: ...


class Lock: ...


class Unfinished(BaseModel):
    inner: list[Nothing]  # type: ignore[name-defined]  # noqa: F821


def test_a_type_that_does_not_exist_is_named() -> None:
    def send(it: Unfinished) -> None: ...

    found = found_each([("send", send)], lambda place, one: job_of_function(one, name=place, place=place))
    why = "send cannot be read by Pydantic: PydanticUndefinedAnnotation: name 'Nothing' is not defined "
    assert [part.why.partition("For")[0] for part in found.failed] == [why]


def test_a_union_of_types_without_a_schema_is_listed_as_one_of_them() -> None:
    def send(it: list[Path | Callable[[], int] | object] | None = None, by: Connection | Lock | None = None) -> int:
        return 1

    send.__annotations__["return"] = Connection | Lock
    job = job_of_function(send, name="send", place="send")
    (spec,) = imported(Found((job,)), "spec.schema.json").specs
    assert [*json.loads(spec.text)["params"]["properties"]] == ["it"]
    whats = [(part.place, part.what) for part in job.left_out]
    assert {("send(by)", "type Connection"), ("send(by)", "type Lock"), ("send(return)", "result")} <= {*whats}


@pytest.mark.parametrize(
    ("hint", "differences"),
    [
        (Annotated[int, Field(ge=1, multiple_of=2)], []),
        (dict[str, list[bool]], []),
        (tuple[int, str], []),
        (
            Decimal,
            [
                'value "text": the spec accepts it, and the source refuses it',
                'value "+49301234": the source changes it, and the spec keeps it',
            ],
        ),
        (set[str], ['value ["text", "text"]: the source accepts it, and the spec refuses it']),
        (dict[int, str], ['value "text": the spec accepts it, and the source refuses it']),
        (UUID, ['value "0199d2a477a07cc1a1f352a9b6a1c0de": the source accepts it, and the spec refuses it']),
        (Annotated[str, StringConstraints(to_lower=True)], ['value "A": the source changes it, and the spec keeps it']),
        (Annotated[int, Field(strict=True)], ["value 1.0: the spec accepts it, and the source refuses it"]),
    ],
)
def test_values_on_which_pydantic_and_the_spec_disagree_are_found(hint: Any, differences: list[str]) -> None:
    found = type_schema(create_model("Params", one=(hint, ...)), "validation", "Params")
    assert found.part.type is not None
    compared = compare_params(found.part.schema, found.part.type, "Params")
    listed = [f"{part.what}: {part.why}" for part in compared.differences]
    assert [line for line in listed if "converts" not in line] == differences
    assert compared.values > 15


def test_the_number_of_differences_beyond_the_shown_ones_is_listed() -> None:
    fields: dict[str, Any] = {f"id_{number}": (set[str], ...) for number in range(9)}
    found = type_schema(create_model("Params", **fields), "validation", "Params")
    assert found.part.type is not None
    parts = compare_params(found.part.schema, found.part.type, "Params").differences
    assert [part.what for part in parts] == [*['value ["text", "text"]'] * 5, "4 more values at other places"]


class Later(BaseModel):
    name: str

    def model_post_init(self, context: object, /) -> None:
        """Refuse some names."""


@pytest.mark.parametrize(
    ("hint", "parts"),
    [
        (FutureDate, ["now_op=future"]),
        (AwareDatetime, ["tz_constraint=aware"]),
        (Annotated[date, Field(ge=date(2020, 1, 1))], ["ge=2020-01-01"]),
        (Annotated[timedelta, Field(gt=timedelta(days=1))], ["gt=1 day, 0:00:00"]),
        (Annotated[Decimal, Field(le=3, max_digits=4)], ["le=3", "max_digits=4"]),
        (HttpUrl, ["allowed_schemes=['http', 'https']"]),
        (UUID4, ["version=4"]),
        (FilePath, ["format file-path"]),
        (Annotated[str, Predicate(str.islower)], ["predicate"]),
        (Annotated[str, Not(str.islower)], ["predicate"]),
        (Annotated[object, Field(gt=3)], ["validator greater_than_validator"]),
        (Later, ["post_init=model_post_init"]),
        (Annotated[int, Field(ge=1, multiple_of=2)], []),
        (Annotated[set[str], Field(max_length=3)], []),
        (Annotated[str, Field(pattern="^a", max_length=3)], []),
    ],
)
def test_a_constraint_without_a_keyword_is_listed(hint: Any, parts: list[str]) -> None:
    found = type_schema(create_model("Params", one=(hint, ...)), "validation", "Params")
    assert [part.what for part in found.left_out if part.what != "extra properties"] == parts


def test_a_function_that_makes_a_default_is_listed_unless_it_makes_an_empty_value() -> None:
    fields: dict[str, Any] = {
        "tags": (list[str], Field(default_factory=list)),
        "facts": (dict[str, str], Field(default_factory=dict)),
        "id": (UUID, Field(default_factory=uuid4)),
    }
    found = type_schema(create_model("Params", **fields), "validation", "Params")
    properties = found.part.schema["properties"]
    assert isinstance(properties, dict)
    assert [one.get("default") for one in properties.values() if isinstance(one, dict)] == [[], {}, None]
    assert [(part.place, part.what) for part in found.left_out if "default" in part.what] == [
        ("Params(id)", "default_factory uuid4")
    ]
