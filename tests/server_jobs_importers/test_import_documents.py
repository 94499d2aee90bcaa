"""`server-jobs import` of schema documents: the specs decide as a reference validator decides about the documents."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import jsonschema
import pytest
from server_jobs.contract.schemas.checker import Checker
from server_jobs_generator.ir.spec import check_specs
from server_jobs_generator.read.library import SpecFile
from server_jobs_importers import asyncapi, json_schema, openapi, turned
from server_jobs_importers.found_job import Found, ImportSourceError
from server_jobs_importers.imported import Imported, imported
from server_jobs_importers.probes import probes

from tests.generator.projects import make_project

ORDER = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "title": "An order",
    "description": "Ship one order.",
    "type": "object",
    "required": ["lines"],
    "properties": {
        "lines": {"type": "array", "minItems": 1, "items": {"$ref": "#/definitions/line"}},
        "pair": {"type": "array", "items": [{"type": "integer"}, {"type": "string"}], "additionalItems": False},
        "note": {"type": ["string", "null"], "maxLength": 3},
    },
    "dependencies": {"note": ["pair"]},
    "definitions": {
        "line": {
            "type": "object",
            "additionalProperties": False,
            "required": ["sku"],
            "properties": {
                "sku": {"type": "string", "pattern": "^[A-Z]-[0-9]+$"},
                "count": {"type": "integer", "minimum": 1},
            },
        }
    },
}

SHOP = """\
openapi: 3.0.3
info: {title: Shop, version: "1"}
paths: {}
components:
  schemas:
    Money:
      type: object
      additionalProperties: false
      required: [amount]
      properties:
        amount: {type: number, minimum: 0, exclusiveMinimum: true}
        currency: {type: string, pattern: "^(?!XXX)[A-Z]{3}$"}
    RefundOrder:
      type: object
      additionalProperties: false
      required: [total]
      properties:
        total: {$ref: "#/components/schemas/Money"}
        note: {type: string, nullable: true}
        sent: {type: string, format: moment}
"""

EVENTS = """\
asyncapi: 3.0.0
info: {title: Shop, version: "1"}
channels:
  orders:
    messages:
      paid: {$ref: "#/components/messages/OrderPaid"}
      shipped:
        name: order_shipped
        payload: {$ref: "#/components/schemas/Order"}
components:
  messages:
    OrderPaid:
      summary: Book one payment.
      headers: {type: object}
      payload:
        schemaFormat: application/schema+json;version=draft-07
        schema: {type: object, additionalProperties: false, properties: {order: {$ref: "#/components/schemas/Order"}}}
    OrderLost: {payload: {schemaFormat: application/vnd.apache.avro, schema: {type: record}}}
  schemas:
    Order: {type: object, additionalProperties: false, required: [id], properties: {id: {type: string}}}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shared").mkdir()
    line = ORDER["definitions"]["line"]  # type: ignore[index]
    apart = ORDER | {"definitions": {"line": {"$ref": "shared/line.json"}}}
    documents = {"ship_order.schema.json": ORDER, "shared/line.json": line, "ship_apart.json": apart}
    for name, value in documents.items():
        (tmp_path / name).write_text(json.dumps(value), encoding="utf-8")
    (tmp_path / "shop.yaml").write_text(SHOP, encoding="utf-8")
    (tmp_path / "events.yaml").write_text(EVENTS, encoding="utf-8")
    return tmp_path


def written(found: Found) -> Imported:
    return imported(found, "../generated/spec.schema.json")


def params_of(result: Imported) -> dict[str, object]:
    """Return the params of each spec, as the generator reads its text."""
    files = [SpecFile(f"{spec.names.spec_name}.json", spec.place, spec.text.encode()) for spec in result.specs]
    specs = check_specs(files)
    assert specs.problems == ()
    return {job.class_name: job.params for job in specs.jobs}


@pytest.mark.parametrize("name", ["ship_order.schema.json", "ship_apart.json"])
def test_a_schema_of_an_older_draft_decides_as_before(name: str) -> None:
    (params,) = params_of(written(json_schema.find([name], []))).values()
    assert isinstance(params, dict)
    checker, reference = Checker(params), jsonschema.Draft7Validator(ORDER)
    values = [probe.value for probe in probes(params) if isinstance(probe.value, dict)]
    decisions = [reference.is_valid(value) for value in values]
    assert [checker.fits(value) for value in values] == decisions
    assert (decisions.count(True), decisions.count(False)) > (5, 20)


def test_components_become_jobs_without_the_keywords_that_are_refused() -> None:
    result = written(openapi.find(["shop.yaml"], []))
    (params,) = params_of(result).values()
    assert params == {
        "type": "object",
        "additionalProperties": False,
        "required": ["total"],
        "properties": {
            "total": {"$ref": "#/$defs/Money"},
            "note": {"type": ["string", "null"]},
            "sent": {"type": "string"},
        },
        "$defs": {
            "Money": {
                "type": "object",
                "additionalProperties": False,
                "required": ["amount"],
                "properties": {"amount": {"type": "number", "exclusiveMinimum": 0}, "currency": {"type": "string"}},
            }
        },
    }
    assert [(part.place, part.what) for spec in result.specs for part in spec.left_out] == [
        ("shop.yaml#/components/schemas/Money/properties/currency/pattern", 'pattern "^(?!XXX)[A-Z]{3}$"'),
        ("shop.yaml#/components/schemas/RefundOrder/properties/sent/format", "format"),
    ]
    assert [
        spec.names.class_name for spec in written(openapi.find(["shop.yaml#/components/schemas/Money"], [])).specs
    ] == ["Money"]


def test_messages_become_jobs_and_others_are_listed() -> None:
    result = written(asyncapi.find(["events.yaml"], []))
    order = {
        "type": "object",
        "additionalProperties": False,
        "required": ["id"],
        "properties": {"id": {"type": "string"}},
    }
    assert params_of(result) == {
        "OrderPaid": {
            "type": "object",
            "additionalProperties": False,
            "properties": {"order": {"$ref": "#/$defs/Order"}},
            "$defs": {"Order": order},
        },
        "OrderShipped": order,
    }
    assert '"description": "Book one payment."' in result.specs[0].text
    assert [(part.place, part.what) for part in result.specs[0].left_out] == [
        ("events.yaml#/components/messages/OrderPaid", "headers")
    ]
    assert [part.what for part in result.failed] == ['message of the format "application/vnd.apache.avro"']


def test_a_message_of_another_file_becomes_a_job_and_one_that_is_nowhere_is_listed(folder: Path) -> None:
    (folder / "shared" / "messages.yaml").write_text(
        """
paid: {$ref: "messages.yaml#/known"}
known:
  payload:
    schemaFormat: application/schema+yaml;version=draft-07
    schema: {$ref: "../events.yaml#/components/schemas/Order"}
""",
        encoding="utf-8",
    )
    (folder / "shared" / "again.yaml").write_text('again: {$ref: "again.yaml#/again"}', encoding="utf-8")
    places = {"paid": "shared/messages.yaml#/paid", "gone": "shared/messages.yaml#/gone", "far": "https://a.example/b"}
    places |= {"again": "shared/again.yaml#/again", "no_file": "shared/none.yaml#/a"}
    messages = {name: {"$ref": place} for name, place in places.items()}
    document = {"asyncapi": "3.0.0", "channels": {"orders": {"messages": messages}}}
    (folder / "apart.yaml").write_text(json.dumps(document), encoding="utf-8")

    result = written(asyncapi.find(["apart.yaml"], []))

    assert [*params_of(result)] == ["Paid"]
    assert '"required": ["id"]' in result.specs[0].text
    failed = {part.place.rpartition("/")[2]: part.why for part in result.failed}
    assert failed.keys() == places.keys() - {"paid"}
    assert all(why.startswith("its $ref leads to nothing: ") for why in failed.values())


def test_a_schema_that_is_no_object_becomes_a_property() -> None:
    Path("name.json").write_text('{"type": "string", "minLength": 1}', encoding="utf-8")
    result = written(json_schema.find(["name.json"], []))
    params = params_of(result)["Name"]
    assert isinstance(params, dict)
    checker = Checker(params)
    assert (checker.fits({"value": "Ada"}), checker.fits({"value": ""}), checker.fits("Ada")) == (True, False, False)
    assert [part.why for part in result.specs[0].left_out] == ["params and results are objects"]


LOOK = {"type": "string", "pattern": "^(?=a)"}
EXCLUSIVE = {
    "oneOf": [
        {"type": "object", "required": ["kind"], "properties": {"kind": {"const": kind}, "name": LOOK}}
        for kind in ("a", "b")
    ]
}


def schema_of(way: object, **more: object) -> dict[str, object]:
    return {"type": "object", "additionalProperties": False, "properties": {"way": way}, **more}


def imported_schema(schema: object, name: str = "odd") -> tuple[Imported, dict[str, object] | None]:
    Path(f"{name}.json").write_text(json.dumps(schema), encoding="utf-8")
    result = written(json_schema.find([f"{name}.json"], []))
    params = next(iter(params_of(result).values()), None)
    assert params is None or isinstance(params, dict)
    return result, params


@pytest.mark.parametrize(
    "way",
    [
        {"type": "string", "not": LOOK},
        {"type": "string", "not": {"$ref": "#/$defs/look"}},
        {"type": "string", "not": {"allOf": [{"$ref": "#/$defs/between"}]}},
        {"type": "array", "items": True, "contains": LOOK, "maxContains": 1},
        {"type": "string", "if": {"$ref": "#/$defs/look"}, "then": {"maxLength": 2}},
        {"type": "string", "not": {"oneOf": [LOOK, {"type": "string", "minLength": 3}]}},
        {"type": "object", "unevaluatedProperties": False, "$dynamicRef": "#x"},
    ],
)
def test_a_keyword_that_cannot_be_dropped_fails_its_job_only(way: object) -> None:
    Path("odd.json").write_text(
        json.dumps(schema_of(way, **{"$defs": {"look": LOOK, "between": {"$ref": "#/$defs/look"}}})), encoding="utf-8"
    )
    result = written(json_schema.find(["odd.json", "ship_order.schema.json"], []))
    assert [spec.names.class_name for spec in result.specs] == ["ShipOrder"]
    assert len(result.failed) == 1


def test_without_the_protection_the_spec_refuses_what_the_source_accepts(monkeypatch: pytest.MonkeyPatch) -> None:
    schema = schema_of({"type": "string", "not": {"$ref": "#/$defs/look"}}, **{"$defs": {"look": LOOK}})
    assert imported_schema(schema)[1] is None
    monkeypatch.setattr(turned, "_TURNED", frozenset())
    params = imported_schema(schema)[1]
    assert params is not None
    assert jsonschema.Draft202012Validator(schema).is_valid({"way": "b"})
    assert not Checker(params).fits({"way": "b"})


def test_a_property_may_have_the_name_of_a_keyword() -> None:
    result, params = imported_schema(schema_of({"type": "object", "properties": {"not": LOOK}}))
    assert params is not None
    assert [part.what for part in result.specs[0].left_out] == ['pattern "^(?=a)"']


def test_branches_that_a_value_cannot_share_stay_one_of() -> None:
    result, params = imported_schema(schema_of(EXCLUSIVE))
    assert params is not None
    assert [part.what for part in result.specs[0].left_out] == ['pattern "^(?=a)"'] * 2
    assert "oneOf" in json.dumps(params)


def test_other_branches_become_any_of() -> None:
    result, params = imported_schema(schema_of({"oneOf": [LOOK, {"type": "string", "minLength": 3}]}))
    assert params is not None
    assert [(part.place, part.what) for part in result.specs[0].left_out] == [
        ("odd.json#/properties/way/oneOf", "oneOf"),
        ("odd.json#/properties/way/anyOf/0/pattern", 'pattern "^(?=a)"'),
    ]


def test_properties_of_a_dropped_pattern_become_further_ones() -> None:
    way = {"type": "object", "additionalProperties": False, "patternProperties": {"^(?!b)": {"type": "integer"}}}
    result, params = imported_schema(schema_of(way))
    assert params is not None
    assert Checker(params).fits({"way": {"a": 1}})
    assert [part.what for part in result.specs[0].left_out] == [
        '^(?!b) {"type": "integer"}',
        "additionalProperties false",
    ]


VALUES: tuple[object, ...] = (
    *("", "a", "b", "ab", "bbb", 1, 2.5, None, True, [], ["a"], ["b", "bbb"], [1, "a", "ab"], {}, {"a": "a"}),
    *({"a": 1}, {"b": "bbb"}, {"a": "b", "b": 1}, {"kind": "a", "name": "b"}, {"kind": "b", "name": "ab"}),
    *({"a": {"a": "b"}}, {"b": ["a"], "ab": "a"}, {"bbb": None}),
)


def random_schema(random: Random, depth: int = 0, names: Sequence[str] = ("one", "two")) -> object:
    """Return a schema in which keywords that specs lack are at places of every kind."""

    def inner() -> object:
        return random_schema(random, depth + 1, names)

    if depth > 3 or random.random() < 0.25:
        leaf = [LOOK, {"type": "string", "pattern": "b(?!b)"}, {"type": "string", "minLength": 2}, {"type": "integer"}]
        return random.choice([*leaf, *({"$ref": f"#/$defs/{name}"} for name in names), True, {"const": "a"}])
    extra: dict[str, object] = random.choice([{}, {"additionalProperties": False}, {"unevaluatedProperties": False}])
    made: list[Callable[[], object]] = [
        lambda: {"not": inner()},
        lambda: {"oneOf": [inner(), inner()]},
        lambda: {"anyOf": [inner(), inner()]},
        lambda: {"allOf": [inner(), inner()], **extra},
        lambda: {"if": inner(), "then": inner(), "else": inner()},
        lambda: {"type": "array", "items": inner(), "contains": inner()},
        lambda: {"type": "array", "items": inner()},
        lambda: {"type": "object", "patternProperties": {"^(?!b)": inner(), "^b": inner()}, **extra},
        lambda: {"type": "object", "properties": {"a": inner(), "not": inner()}, **extra},
        lambda: {"type": "object", "propertyNames": {"pattern": "(?=a)"}, "dependentSchemas": {"a": inner()}},
        lambda: {"anyOf": [EXCLUSIVE, inner()], **extra},
    ]
    return random.choice(made)()


@pytest.mark.parametrize("seed", range(2_000 if os.environ.get("SERVER_JOBS_LONG_TESTS") else 80))
def test_a_spec_accepts_what_its_schema_accepts(seed: int) -> None:
    random = Random(seed)
    # Without circles, in which a reference validator never ends.
    definitions = {"one": random_schema(random, 2, ["two"]), "two": random_schema(random, 2, [])}
    schema = schema_of(random_schema(random), **{"$defs": definitions})
    reference = jsonschema.Draft202012Validator(schema)
    accepted = [value for value in VALUES if reference.is_valid({"way": value})]  # pyright: ignore[reportArgumentType]
    _, params = imported_schema(schema)
    checker = None if params is None else Checker(params)
    assert checker is None or [value for value in accepted if not checker.fits({"way": value})] == []


def test_the_command_writes_the_others_and_says_that_a_job_failed(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", {})
    result = project.run("import", "asyncapi", "events.yaml")
    assert result.exit_code == 1
    assert "without a spec:\n  events.yaml#/components/messages/OrderLost: message of the format" in result.output
    assert sorted(path.name for path in project.path("specs").iterdir()) == ["order_paid.json", "order_shipped.json"]
    assert project.run("check").exit_code == 0


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        (json_schema, "none.json", "none.json cannot be read: No such file or directory"),
        (json_schema, "shop.txt", "'shop.txt' must be a file .json, .jsonc, .yaml, .yml"),
        (json_schema, "shop.yaml#Money", "must end with a JSON pointer, such as #/components/schemas/Order"),
        (json_schema, "shop.yaml#/components/x", "shop.yaml#/components/x does not exist: there is no 'x'"),
        (openapi, "events.yaml", "events.yaml is no OpenAPI 3 document"),
        (openapi, "https://a.example/b.yaml", "is a URL, and nothing is fetched; save the document, and name the file"),
        (asyncapi, "shop.yaml", "shop.yaml is no AsyncAPI document of version 2 or 3"),
        (asyncapi, "events.yaml#/components/messages/Lost", "does not exist: there is no 'Lost'"),
    ],
)
def test_a_target_without_a_job_is_an_error(source: object, target: str, message: str) -> None:
    with pytest.raises(ImportSourceError) as caught:
        source.find([target], [])  # type: ignore[attr-defined]
    assert message in str(caught.value)
