"""Params and results that are a union of objects: a typed union that accepts the same documents as the schema."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from itertools import product
from pathlib import Path
from random import Random
from typing import cast

import pytest
from pydantic import BaseModel, JsonValue, ValidationError
from server_jobs.contract.documents import read_params, write_params
from server_jobs.errors import InvalidParamsError
from server_jobs_generator.models.model_module import render_models
from server_jobs_generator.outputs import output_names

from tests.generator.models.test_lazy_imports import python
from tests.generator.models.test_models_agree_with_the_schema import fitting_of
from tests.generator.projects import ask_for, make_project, run_command
from tests.generator.spec_language import Schema
from tests.generator.spec_projects import a_spec, an_object, job, loaded, params_model, problems, read

SEEDS = 5_000 if os.environ.get("SERVER_JOBS_LONG_TESTS") else 25
TEXT: Schema = {"type": "string"}
TYPES: Sequence[JsonValue] = [TEXT, {"type": "integer"}]


def tagged(kind: str, **properties: JsonValue) -> Schema:
    """Return a closed object with a tag and only required properties."""
    return {**an_object(kind={"const": kind}, **properties), "required": ["kind", *properties]}


EMAIL, SMS = tagged("email", to=TEXT), tagged("sms", number=TEXT)


def opened(schema: Schema) -> Schema:
    return {key: value for key, value in schema.items() if key != "additionalProperties"}


TAGGED: dict[str, Schema] = {
    "no type": {"oneOf": [EMAIL, SMS]},
    "type": {"type": "object", "oneOf": [EMAIL, SMS]},
    "anyOf": {"type": "object", "anyOf": [EMAIL, SMS]},
    "references": {"oneOf": [{"$ref": "#/$defs/Mail"}, {"$ref": "#/$defs/Text"}]},
    "a reference to it": {"$ref": "#/$defs/Either"},
    "closed around": {"type": "object", "oneOf": [opened(EMAIL), opened(SMS)], "unevaluatedProperties": False},
    "closed around anyOf": {"type": "object", "anyOf": [opened(EMAIL), opened(SMS)], "unevaluatedProperties": False},
    "closed around references": {
        "type": "object",
        "oneOf": [{"$ref": "#/$defs/OpenMail"}, {"$ref": "#/$defs/OpenText"}],
        "unevaluatedProperties": False,
    },
    "discriminator": {"oneOf": [EMAIL, SMS], "discriminator": {"propertyName": "kind"}},
    "mapping": {
        "oneOf": [{"$ref": "#/$defs/Mail"}, {"$ref": "#/$defs/Text"}],
        "discriminator": {"propertyName": "kind", "mapping": {"email": "#/$defs/Mail", "sms": "#/$defs/Text"}},
    },
}
DEFINED: Schema = {
    "Mail": EMAIL,
    "Text": SMS,
    "OpenMail": opened(EMAIL),
    "OpenText": opened(SMS),
    "Either": {"oneOf": [EMAIL, SMS]},
}


@pytest.mark.parametrize("name", TAGGED)
def test_a_tagged_union_has_a_class_for_each_branch_and_a_discriminator(tmp_path: Path, name: str) -> None:
    specs = read(tmp_path, {"case.json": a_spec(TAGGED[name], **{"$defs": DEFINED})})
    assert specs.problems == ()
    with loaded(render_models(specs.jobs[0])) as module:
        model = module.CaseParams
        (root,) = model.model_fields.values()
        assert root.discriminator == "kind"
        email = model.model_validate_json('{"kind": "email", "to": "a"}')
        assert email.root.to == "a"
        assert email.model_dump() == {"kind": "email", "to": "a"}
        with pytest.raises(ValidationError) as raised:
            model.model_validate_json('{"kind": "sms", "to": "a"}')
        assert {error["type"] for error in raised.value.errors()} == {"missing", "extra_forbidden"}


def test_a_tag_with_a_limit_does_not_distinguish_the_classes(tmp_path: Path) -> None:
    kinds: dict[str, Schema] = {kind: {"enum": [kind], "type": "string", "minLength": 1} for kind in ("email", "sms")}
    branches: list[JsonValue] = [{**an_object(kind=kind), "required": ["kind"]} for kind in kinds.values()]
    with params_model(tmp_path, an_object(one={"anyOf": branches})) as model:
        assert model.model_validate_json('{"one": {"kind": "sms"}}').model_dump() == {"one": {"kind": "sms"}}
        with pytest.raises(ValidationError):
            model.model_validate_json('{"one": {"kind": "fax"}}')
    with loaded(render_models(job(tmp_path, a_spec({"anyOf": branches})))) as module:
        module.CaseParams.model_validate_json('{"kind": "email"}')
        with pytest.raises(ValidationError):
            module.CaseParams.model_validate_json('{"kind": "fax"}')


def test_properties_beside_the_union_belong_to_each_branch(tmp_path: Path) -> None:
    schema: Schema = {
        "type": "object",
        "required": ["id"],
        "properties": {"id": {"type": "integer"}},
        "oneOf": [opened(EMAIL), opened(SMS)],
        "unevaluatedProperties": False,
    }
    text = render_models(job(tmp_path, a_spec(schema)))

    assert 'class CaseParamsEmail(JobModel, extra="forbid"):\n    id: Integer\n    kind: Literal["email"]\n' in text
    assert "CaseParamsDict = CaseParamsEmailDict | CaseParamsSmsDict\n" in text
    assert "Json" not in text


def test_branches_that_only_narrow_other_keywords_make_no_union(tmp_path: Path) -> None:
    schema: Schema = {**an_object(a=TEXT, b=TEXT), "anyOf": [{"required": ["a"]}, {"required": ["b"]}]}
    text = render_models(job(tmp_path, a_spec(schema)))

    assert "JobUnion" not in text
    assert "    a: Omittable[str] = None" in text


def test_only_the_objects_of_a_union_are_params(tmp_path: Path) -> None:
    with params_model(tmp_path, {"oneOf": [EMAIL, TEXT]}) as model:
        model.model_validate_json('{"kind": "email", "to": "a"}')
        for text in ('"a"', "{}", "3"):
            with pytest.raises(ValidationError):
                model.model_validate_json(text)


def test_a_union_without_an_object_is_refused(tmp_path: Path) -> None:
    (line,) = problems(tmp_path, {"case.json": a_spec({"oneOf": [TEXT, {"allOf": [{"type": "array"}]}]})})
    assert 'params must be an object: state "type": "object"' in line


@pytest.mark.parametrize(
    "discriminator", ["kind", {"propertyName": "type"}, {"propertyName": "kind", "mapping": {"fax": "#/$defs/Fax"}}]
)
def test_a_discriminator_is_an_annotation(tmp_path: Path, discriminator: object) -> None:
    spec = a_spec({"oneOf": [EMAIL, SMS], "discriminator": discriminator})
    with loaded(render_models(job(tmp_path, spec))) as module:
        assert module.CaseParams.model_validate_json('{"kind": "email", "to": "a"}').root.to == "a"


OWN: Sequence[Schema] = cast(
    "Sequence[Schema]",
    (
        *({}, {}, {"properties": {"id": {"type": "integer"}}}, {"properties": {"kind": {"type": "string"}}}),
        *({"required": ["id"], "properties": {"id": True}}, {"minProperties": 2}, {"patternProperties": {"^x": TEXT}}),
        {"required": ["kind"]},
    ),
)
AROUND: tuple[Schema, ...] = ({}, {}, {"unevaluatedProperties": False}, {"additionalProperties": True})
DOCUMENTS: Sequence[dict[str, JsonValue]] = [
    {name: value for name, value in zip(("kind", "a", "id", "x1"), values, strict=True) if value is not None}
    for values in product((None, "a", "b"), (None, 1, "s"), (None, 1), (None, "s", 1))
]


def branch(random: Random, kind: str) -> Schema:
    properties: Schema = {name: random.choice(TYPES) for name in ("a", "id") if random.random() < 0.6}
    properties |= {"kind": {"const": kind}} if random.random() < 0.6 else {}
    required = [name for name in properties if random.random() < 0.6]
    extra: JsonValue = random.choice([None, False, True, TEXT])
    extras: Schema = {} if extra is None else {"additionalProperties": extra}
    return {"type": "object", "properties": properties, "required": list[JsonValue](required), **extras}


def random_union(random: Random, definitions: Schema) -> Schema:
    inline = [branch(random, "a"), branch(random, "b")]
    branches: list[JsonValue] = [
        {"$ref": f"#/$defs/{name}"} if random.random() < 0.3 else inline[n] for n, name in enumerate(definitions)
    ]
    return {
        "type": "object",
        **random.choice(OWN),
        **random.choice(AROUND),
        random.choice(["oneOf", "anyOf"]): branches,
    }


def test_a_union_takes_the_documents_that_its_schema_takes(tmp_path: Path) -> None:
    unions = 0
    for seed in range(SEEDS):
        random = Random(seed)
        definitions: Schema = {"A": branch(random, "a"), "B": branch(random, "b")}
        params = random_union(random, definitions)
        specs = read(tmp_path, {"case.json": a_spec(params, **{"$defs": definitions})})
        if specs.problems:
            continue
        text = render_models(specs.jobs[0])
        unions += "CaseParams(JobUnion)" in text
        with loaded(text) as module:
            check_documents(f"seed {seed}: {params} {definitions}", module.CaseParams, params, definitions)
    assert unions > SEEDS / 3


def check_documents(about: str, model: type[BaseModel], params: Schema, definitions: Schema) -> None:
    fitting = fitting_of(definitions)
    for document in DOCUMENTS:
        violations = fitting.violations(params, "x", document)
        try:
            model.model_validate_json(json.dumps(document))
        except ValidationError:
            assert violations, (about, document)
            continue
        assert not violations, (about, document, violations)
        written, stored = write_params("Case", model, document)
        assert read_params("Case", model, stored) == written
        assert write_params("Case", model, written)[1] == stored
        assert json.loads(stored) == document


SPEC = a_spec(
    {
        "type": "object",
        "required": ["customer"],
        "properties": {"customer": TEXT},
        "oneOf": [opened(EMAIL), opened(SMS)],
        "unevaluatedProperties": False,
    },
    {"oneOf": [tagged("sent", id=TEXT), tagged("bounced", reason=TEXT)]},
    title="Notify",
    **{"x-job": {"unique": {"by": ["/customer", "/to"]}, "redact": ["/number"], "indexes": ["/params/to"]}},
)
HANDLER = """\
from generated.models.notify import NotifyParams, NotifyParamsEmail, NotifyResult, NotifyResultBounced, NotifyResultSent
from server_jobs import JobContext


def handle(params: NotifyParams, context: JobContext) -> NotifyResult:
    match params.root:
        case NotifyParamsEmail(to=to):
            return NotifyResult(NotifyResultSent(kind="sent", id=to))
        case other:
            return NotifyResult(NotifyResultBounced(kind="bounced", reason=other.kind))
"""
PROGRAM = """\
import asyncio, json
from hypothesis import given, settings
from generated.jobs import Notify
from generated.models.notify import NotifyParams, NotifyParamsEmail, NotifyParamsSms
from generated.registry import registry
from generated.testing.notify import fake_notify, notify_params, notify_results
from server_jobs import Worker, connect


async def main() -> None:
    async with connect(registry) as backend:
        first = await Notify.later({"kind": "email", "to": "ada", "customer": "c"})
        assert await Notify.later({"kind": "email", "to": "ada", "customer": "c"}) == first
        sms = NotifyParams(NotifyParamsSms(kind="sms", number="1", customer="c"))
        second = await Notify.later(sms)
        third = await Notify.later(sms.root)
        await Worker(backend, until_empty=True).run()
        print((await first.result()).data.root.id, (await second.result()).data.root.reason)
        result = await Notify.now({"kind": "sms", "number": "2", "customer": "d"})
        print(type(result.data.root).__name__, result.data.model_dump_json())


asyncio.run(main())


@settings(max_examples=20, database=None, deadline=None)
@given(notify_params(), notify_results())
def draw(params, result):
    print("drew", type(params.root).__name__)
    assert Notify.new_job(params).params and result.root.kind in ("sent", "bounced")


draw()
with fake_notify() as calls:
    asyncio.run(Notify.now({"kind": "email", "to": "ada", "customer": "c"}))
print(calls[0].root.to)
"""


@pytest.mark.slow
def test_a_union_works_from_the_spec_to_the_view(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", {"notify": SPEC})
    ask_for(project, *output_names())
    project.generate()
    project.path("handlers/notify.py").write_text(HANDLER, encoding="utf-8")
    run_command("migrate", "--project", str(project.root))

    printed = python(project.root, *PROGRAM.splitlines())

    assert printed[:2] == ["ada sms", 'NotifyResultBounced {"kind":"bounced","reason":"sms"}']
    assert {"drew NotifyParamsEmail", "drew NotifyParamsSms"} <= set(printed)
    assert printed[-1] == "ada"
    typescript = project.read("generated/contracts/jobs.ts")
    assert 'kind: "email";' in typescript
    openapi = json.loads(project.read("generated/contracts/openapi.json"))
    assert "oneOf" in openapi["components"]["schemas"]["NotifyParams"]
    with closing(sqlite3.connect(project.path("server-jobs.sqlite3"))) as database:
        columns = [row[1] for row in database.execute("PRAGMA table_info(notify_jobs)")]
        assert {"params_customer", "params_to", "params_kind", "result_reason"} <= set(columns)
        found = database.execute("SELECT DISTINCT params_to FROM notify_jobs ORDER BY 1").fetchall()
    assert found == [(None,), ("ada",)]
    assert "number" in project.read("generated/contracts/catalogue.md")


def test_a_worker_reads_a_branch_without_a_property_that_its_spec_lost(tmp_path: Path) -> None:
    with loaded(render_models(job(tmp_path, a_spec({"oneOf": [EMAIL, SMS]})))) as module:
        model, stored = module.CaseParams, '{"kind": "email", "to": "a", "removed": 1}'
        assert read_params("Case", model, stored).model_dump() == {"kind": "email", "to": "a"}
        with pytest.raises(InvalidParamsError) as raised:
            read_params("Case", model, '{"kind": "email", "removed": 1}')
    assert {problem.pointer for problem in raised.value.problems} == {"/to", "/removed"}
