"""`server-jobs import` redacts every secret of a source, wherever it is, or refuses its job."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar, Unpack

import pytest
from pydantic import (
    AliasChoices,
    AliasPath,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    RootModel,
    Secret,
    SecretBytes,
    SecretStr,
    WithJsonSchema,
    computed_field,
    create_model,
    field_serializer,
)
from pydantic.config import JsonDict
from pydantic.json_schema import SkipJsonSchema
from server_jobs.contract.documents import redacted
from server_jobs_importers import json_schema, secrets
from server_jobs_importers.found_job import Found, FoundJob, ImportSourceError
from server_jobs_importers.imported import Imported, imported
from server_jobs_importers.python_types import type_schema
from server_jobs_importers.queues.task_reader import TaskReader, found_jobs
from server_jobs_importers.signatures import job_of_function
from typing_extensions import TypeAliasType, TypedDict

from tests.generator.projects import make_project

VALUE = "s3cr3t-value"
T = TypeVar("T")
Token = TypeAliasType("Token", SecretStr)


class Login(BaseModel):
    user: str = "ada"
    token: SecretStr


class Box(BaseModel, Generic[T]):
    content: T


class Node(BaseModel):
    token: SecretStr | None = None
    inner: Node | None = None
    others: list[Node] = []


class Pair(NamedTuple):
    user: str
    token: SecretStr


class Typed(TypedDict, total=False):
    token: SecretStr


@dataclass
class Classic:
    token: SecretStr


class Own(SecretStr):
    """A secret with a name of its own."""


class Day(Secret[int]):
    def _display(self) -> str:
        return "day"


class Shown(BaseModel):
    """Pydantic's documented way to write a secret in clear."""

    token: SecretStr

    @field_serializer("token")
    def in_clear(self, value: SecretStr) -> str:
        return value.get_secret_value()


def without_token(schema: JsonDict) -> None:
    properties = schema["properties"]
    assert isinstance(properties, dict)
    del properties["token"]


class Hidden(BaseModel):
    model_config = ConfigDict(json_schema_extra=without_token)
    token: SecretStr
    other: SecretStr | None = None


class Post(BaseModel):
    kind: Literal["post"]
    token: SecretStr


class Mail(BaseModel):
    kind: Literal["mail"]
    password: SecretStr


class Many(BaseModel):
    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, SecretStr]  # pyright: ignore[reportIncompatibleVariableOverride]


def as_login(value: object) -> object:
    return {"token": value} if isinstance(value, str) else value


OTHER_NAMES = Field(validation_alias=AliasChoices("apiToken", "password", AliasPath("keys", 0)))
PLACES: list[tuple[Any, object, list[str]]] = [
    (SecretStr, VALUE, ["/one"]),
    (SecretBytes, VALUE, ["/one"]),
    (Secret[str], VALUE, ["/one"]),
    (Secret[dict[str, str]], {"a": VALUE}, ["/one"]),
    (Day, 1234567, ["/one"]),
    (Own, VALUE, ["/one"]),
    (Token, VALUE, ["/one"]),
    (SecretStr | None, VALUE, ["/one"]),
    (int | Annotated[SecretStr, Field(min_length=3)], VALUE, ["/one"]),
    (Annotated[SecretStr, PlainSerializer(lambda one: one.get_secret_value())], VALUE, ["/one"]),
    (Annotated[SecretStr, PlainValidator(SecretStr)], VALUE, ["/one"]),
    (Annotated[SecretStr, PlainValidator(lambda one: SecretStr(one))], VALUE, ["/one"]),
    (Annotated[SecretStr, WithJsonSchema({"type": "string"})], VALUE, ["/one"]),
    (Annotated[SecretStr, Field(json_schema_extra={"writeOnly": False, "format": "x"})], VALUE, ["/one"]),
    (list[SecretStr], [VALUE], ["/one"]),
    (dict[str, list[SecretStr]], {"a": [VALUE]}, ["/one"]),
    (dict[SecretStr, int], {VALUE: 1}, ["/one"]),
    (tuple[int, SecretStr], [1, VALUE], ["/one"]),
    (set[SecretStr], [VALUE], ["/one"]),
    (Login, {"token": VALUE}, ["/one/token"]),
    (Login | None, {"token": VALUE}, ["/one/token"]),
    (list[Login], [{"token": VALUE}], ["/one"]),
    (Box[SecretStr], {"content": VALUE}, ["/one/content"]),
    (Box[Box[Login]], {"content": {"content": {"token": VALUE}}}, ["/one/content/content/token"]),
    (Classic, {"token": VALUE}, ["/one/token"]),
    (Typed, {"token": VALUE}, ["/one/token"]),
    (Pair, ["ada", VALUE], ["/one"]),
    (RootModel[SecretStr], VALUE, ["/one"]),
    (Shown, {"token": VALUE}, ["/one/token"]),
    (Hidden, {"token": VALUE, "other": VALUE}, ["/one/token", "/one/other"]),
    (Many, {"any": VALUE}, ["/one"]),
    (Node, {"inner": {"inner": {"others": [{"token": VALUE}]}}}, ["/one/token", "/one/inner", "/one/others"]),
    (
        Annotated[Post | Mail, Field(discriminator="kind")],
        {"kind": "mail", "password": VALUE},
        ["/one/token", "/one/password"],
    ),
    (Annotated[Login, BeforeValidator(as_login), WithJsonSchema({"type": "string"})], VALUE, ["/one"]),
    (Annotated[SecretStr, Field(alias="a/b~c")], None, ["/a~1b~0c"]),
]


def spec_of(type_: Any) -> tuple[Imported, dict[str, Any]]:
    """Import a type as params, and return the result with the options of its spec."""
    found = type_schema(type_, "validation", "Job")
    job = FoundJob(name="send_it", place="Job", params=found.part, left_out=found.left_out)
    result = imported(Found((job,)), "spec.schema.json")
    return result, json.loads(result.specs[0].text)["x-job"] if result.specs else {}


@pytest.mark.parametrize(("hint", "value", "pointers"), PLACES, ids=lambda one: str(one)[:40])
def test_a_secret_is_redacted_at_its_place_or_at_the_nearest_around_it(
    hint: Any, value: object, pointers: list[str]
) -> None:
    result, options = spec_of(create_model("Job", one=(hint, ...)))
    assert result.failed == ()
    assert sorted(options["redact"]) == sorted(pointers)
    shown = redacted(json.dumps({"one": value}), options["redact"])
    assert VALUE not in shown
    assert "1234567" not in shown


@pytest.mark.parametrize(
    ("model", "value"),
    [
        (create_model("Job", token=(SecretStr, OTHER_NAMES)), {"apiToken": VALUE}),
        (create_model("Job", token=(SecretStr, OTHER_NAMES)), {"password": VALUE}),
        (create_model("Job", token=(SecretStr, OTHER_NAMES)), {"keys": [VALUE]}),
        (
            create_model("Job", __config__=ConfigDict(populate_by_name=True), token=(SecretStr, Field(alias="key"))),
            {"token": VALUE},
        ),
        (create_model("Job", token=(SkipJsonSchema[SecretStr], ...)), {"token": VALUE}),
        (RootModel[dict[str, SecretStr]], {"any": VALUE}),
        (RootModel[list[Login]], {"value": [{"token": VALUE}]}),
        (Many, {"any": VALUE}),
        (Node, {"others": [{"token": VALUE}]}),
    ],
)
def test_a_secret_under_another_name_is_redacted(model: Any, value: object) -> None:
    result, options = spec_of(model)
    assert result.failed == ()
    assert VALUE not in redacted(json.dumps(value), options["redact"])


def test_a_secret_of_a_document_is_redacted_where_its_format_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    password = {"type": "string", "format": "password"}
    node = {"properties": {"key": password, "inner": {"$ref": "#/$defs/node"}}}
    properties = {
        "one": {"anyOf": [{"$ref": "#/$defs/login"}, {"type": "null"}]},
        "many": {"type": "array", "items": {"$ref": "#/$defs/login"}},
        "node": {"$ref": "#/$defs/node"},
        "name": {"type": "string"},
        "code": {"type": "string", "writeOnly": True},
    }
    definitions = {"login": {"type": "object", "properties": {"token": password}}, "node": {"type": "object", **node}}
    document = {"type": "object", "properties": properties, "$defs": definitions}
    Path("log_in.json").write_text(json.dumps(document), encoding="utf-8")
    (spec,) = imported(json_schema.find(["log_in.json"], []), "spec.schema.json").specs
    redact = json.loads(spec.text)["x-job"]["redact"]
    assert sorted(redact) == ["/code", "/many", "/node/inner", "/node/key", "/one/token"]


class Computed(BaseModel):
    @computed_field  # type: ignore[prop-decorator]
    @property
    def token(self) -> SecretStr:
        return SecretStr("x")


class WithDefaults(BaseModel):
    login: Login = Login(token=SecretStr(VALUE))
    shown: Shown = Shown(token=SecretStr(VALUE))
    tokens: list[SecretStr] = [SecretStr(VALUE)]
    none: list[SecretStr] = []


def test_a_default_with_a_secret_is_listed_and_never_written() -> None:
    result, _ = spec_of(WithDefaults)
    (spec,) = result.specs
    assert (VALUE in spec.text, "***" in spec.text) == (False, False)
    assert [part.place for part in spec.left_out if part.what == "default"] == [
        "Job(login)",
        "Job(shown)",
        "Job(tokens)",
    ]
    assert json.loads(spec.text)["params"]["properties"]["none"]["default"] == []


@dataclass(slots=True)
class Key:
    content: object


class AnyDefault(Enum):
    TOKEN = SecretStr(VALUE)


@pytest.mark.parametrize(
    "default",
    [
        SecretStr(VALUE),
        {"login": [SecretBytes(VALUE.encode())]},
        (1, frozenset({SecretStr(VALUE)})),
        Key({"a": SecretStr(VALUE)}),
        AnyDefault.TOKEN,
        Box[object](content=Shown(token=SecretStr(VALUE))),
    ],
    ids=lambda one: type(one).__name__,
)
@pytest.mark.parametrize("has_hint", [True, False])
def test_a_default_with_a_secret_redacts_a_value_of_any_type(default: object, has_hint: bool) -> None:
    def log_in(user: str = "ada", token=default) -> None: ...  # type: ignore[no-untyped-def]

    if has_hint:
        log_in.__annotations__["token"] = object
    (spec,) = imported(Found((job_of_function(log_in, name="log_in", place="log_in"),)), "spec.schema.json").specs
    document = json.loads(spec.text)
    assert (VALUE in spec.text, "***" in spec.text) == (False, False)
    assert (document["x-job"]["redact"], document["params"]["properties"]["user"]["default"]) == (["/token"], "ada")
    assert [part.place for part in spec.left_out if part.what == "default"] == ["log_in(token)"]


def returns(type_: object) -> Callable[..., object]:
    def log_in(*, user: str) -> object: ...

    log_in.__annotations__["return"] = type_
    return log_in


@pytest.mark.parametrize("type_", [SecretStr, list[Login], Shown, Computed, dict[str, Secret[int]]])
def test_a_result_with_a_secret_is_left_out(type_: object) -> None:
    job = job_of_function(returns(type_), name="log_in", place="log_in")
    assert (job.result, [part.what for part in job.left_out]) == (None, ["result"])
    assert "everyone who may read the job sees its result" in job.left_out[0].why


@pytest.mark.parametrize("hint", [SecretStr, Unpack[Typed]])
def test_further_parameters_with_secrets_are_refused(hint: object) -> None:
    def log_in(**tokens: object) -> None: ...

    log_in.__annotations__["tokens"] = hint
    with pytest.raises(ImportSourceError, match=r"\*\*tokens has secrets without names; name them as parameters"):
        job_of_function(log_in, name="log_in", place="log_in")


def test_a_schedule_whose_arguments_have_a_secret_is_left_out() -> None:
    def log_in(user: str, token: str) -> None: ...

    log_in.__annotations__["token"] = SecretStr
    reader = TaskReader(log_in)
    reader.schedule("hourly", "0 * * * *", "UTC", ["ada", VALUE])
    (job,) = found_jobs([reader.job("log_in")]).jobs
    assert job.schedules == ()
    assert [str(part) for part in job.left_out if "schedule" in part.what and VALUE not in str(part)] != []


@pytest.mark.parametrize("removed", ["_makes_secret", "_holds_secret", "_is_password"])
def test_without_a_protection_a_secret_stays_in_clear(removed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    hints: dict[str, Any] = {
        "_makes_secret": Secret[int],
        "_holds_secret": Annotated[object, Field(default=SecretStr(VALUE))],
        "_is_password": Annotated[str, Field(json_schema_extra={"format": "password"})],
    }
    model = create_model("Job", one=hints[removed])
    assert spec_of(model)[1]["redact"] == ["/one"]
    monkeypatch.setattr(secrets, removed, lambda _: False)
    assert "redact" not in spec_of(model)[1]


MODELS = """\
from pydantic import BaseModel, SecretStr


class Login(BaseModel):
    user: str
    token: SecretStr | None = None


class SendReport(BaseModel):
    to: str
    login: Login
    logins: dict[str, list[Login]] = {}
    key: SecretStr | None = None
"""
SCRIPT = """\
import sys
from contextlib import redirect_stdout
from io import StringIO

from server_jobs_cli.program import program


def run(*arguments):
    output = StringIO()
    with redirect_stdout(output):
        try:
            program(list(arguments))
        except SystemExit:
            pass
    print(output.getvalue())
    return output.getvalue().strip()


params = sys.stdin.read()
run("migrate")
run("enqueue", "SendReport", "--params", params.replace('"ada"', "1"))
id = run("enqueue", "SendReport", "--params", params).split()[-1]
run("worker", "--until-empty")
for command in (["show", id], ["show", id, "--json"], ["list"], ["list", "--json"], ["why", id]):
    run(*command)
"""
HANDLER = """\
async def handle(params, context):
    raise ValueError(f"{params.login.token} {params!r} {params.logins} {params.key}")
"""


@pytest.mark.slow
def test_no_command_shows_a_secret_of_an_imported_job(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", {})
    (project.root / "reports.py").write_text(MODELS, encoding="utf-8")
    assert project.run("import", "pydantic", "reports:SendReport").exit_code == 0
    handler = project.path("handlers/send_report.py")
    text = handler.read_text(encoding="utf-8")
    handler.write_text(text[: text.index("async def handle")] + HANDLER, encoding="utf-8")
    login = {"user": "u", "token": f"{VALUE}-1"}
    params = {"to": "ada", "login": login, "key": f"{VALUE}-2", "logins": {"x": [login | {"token": f"{VALUE}-3"}]}}
    finished = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input=json.dumps(params),
        capture_output=True,
        text=True,
        cwd=project.root,
        check=True,
    )
    shown = finished.stdout + finished.stderr
    assert "ValueError" in finished.stdout
    assert '"to": "ada"' in finished.stdout
    assert VALUE not in shown, shown[max(0, shown.index(VALUE) - 300) :][:600]
