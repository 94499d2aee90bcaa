"""The AsyncAPI document is valid by the published schema of AsyncAPI 3.0, and has no broken reference."""

from __future__ import annotations

import gzip
import json
import tempfile
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from server_jobs_generator.ir.spec import read_specs
from server_jobs_generator.options.durations import duration
from server_jobs_outputs.api_documents import asyncapi_text

from tests.generator.spec_language import DEFINITIONS, Schema, object_schemas, schemas
from tests.generator.spec_projects import a_spec, an_object, read
from tests.server_jobs_outputs.test_outputs import FEW

ROOT = Path(__file__).parents[2]
PUBLISHED = json.loads(gzip.decompress((ROOT / "tests/data/asyncapi/3.0.0.json.gz").read_bytes()))
VALIDATOR = jsonschema_rs.validator_for(PUBLISHED)


def document(root: Path, files: Mapping[str, object]) -> dict[str, Any]:
    """Return the document of these specs, validated against the published schema."""
    specs = read(root, files)
    assert not specs.problems
    found: dict[str, Any] = json.loads(asyncapi_text(specs.jobs))
    assert errors(found) == []
    return found


def errors(found: dict[str, Any]) -> list[str]:
    return [f"{error.instance_path}: {error.message[:200]}" for error in VALIDATOR.iter_errors(found)]


def references(value: object) -> Iterator[str]:
    match value:
        case {"$ref": str(reference)}:
            yield reference
        case dict():
            for inner in value.values():
                yield from references(inner)
        case list():
            for inner in value:
                yield from references(inner)
        case _:
            pass


def at(found: object, reference: str) -> object:
    for token in reference.removeprefix("#/").split("/"):
        assert isinstance(found, dict)
        found = found[token]
    return found


def test_the_document_of_this_repository_keeps_to_the_published_schema() -> None:
    found = json.loads((ROOT / "generated/contracts/asyncapi.json").read_text(encoding="utf-8"))

    assert errors(found) == []
    assert all(at(found, reference) for reference in references(found))
    assert json.loads(asyncapi_text(read_specs(ROOT, ROOT / "specs").jobs)) == found


@pytest.mark.parametrize("break_it", [lambda one: one.update(action="ask"), lambda one: one.pop("channel")])
def test_the_published_schema_would_notice_a_broken_document(break_it: Any) -> None:
    found = json.loads((ROOT / "generated/contracts/asyncapi.json").read_text(encoding="utf-8"))
    break_it(found["operations"]["runSendEmail"])

    assert errors(found)


def test_jobs_of_one_queue_share_a_channel_and_each_is_answered_by_its_result(tmp_path: Path) -> None:
    found = document(
        tmp_path,
        {
            "one.json": a_spec(**{"x-job": {"queue": "mail"}}),
            "two.json": a_spec(**{"x-job": {"queue": "mail"}}),
            "three.json": a_spec(),
        },
    )

    assert list(found["channels"]["queue-mail"]["messages"]) == ["OneParams", "TwoParams"]
    assert list(found["channels"]["queue-default"]["messages"]) == ["ThreeParams"]
    assert found["operations"]["enqueueOne"]["action"] == "send"
    assert found["operations"]["runOne"]["action"] == "receive"
    (answer,) = found["operations"]["runOne"]["reply"]["messages"]
    assert at(found, at(found, answer["$ref"])["$ref"])["name"] == "OneResult"  # type: ignore[index]


def test_a_job_that_is_called_like_the_result_of_another_one_takes_nothing_from_it(tmp_path: Path) -> None:
    names = ("Foo", "FooResult", "FooParams", "FooResultParams")
    specs = {
        f"job_{number}.json": a_spec(an_object(**{f"p{number}": True}), an_object(**{f"r{number}": True}), title=name)
        for number, name in enumerate(names)
    }
    found = document(tmp_path, specs)

    for number, name in enumerate(names):
        run = found["operations"][f"run{name}"]
        for operation, property_ in ((run, f"p{number}"), (run["reply"], f"r{number}")):
            message = at(found, at(found, operation["messages"][0]["$ref"])["$ref"])  # type: ignore[index]
            payload = at(found, message["payload"]["$ref"])  # type: ignore[index]
            assert list(payload["schema"]["properties"]) == [property_]  # type: ignore[index]


def test_a_retired_job_is_run_but_not_queued_and_its_schemas_are_deprecated(tmp_path: Path) -> None:
    specs = {"new.json": a_spec(), "old.json": a_spec(**{"x-job": {"status": "retired"}})}
    found = document(tmp_path, specs)

    assert list(found["operations"]) == ["enqueueNew", "runNew", "runOld"]
    assert found["operations"]["runOld"]["x-job"]["status"] == "retired"
    schemas = found["components"]["schemas"]
    assert [name for name in schemas if schemas[name]["schema"].get("deprecated")] == ["OldParams", "OldResult"]


def test_messages_have_the_examples_of_their_schemas(tmp_path: Path) -> None:
    params, result = ({**an_object(a={"type": "string"}), "examples": [{"a": word}]} for word in ("in", "out"))
    messages = document(tmp_path, {"one.json": a_spec(params, result)})["components"]["messages"]

    assert messages["OneParams"]["examples"] == [{"payload": {"a": "in"}}]
    assert messages["OneResult"]["examples"] == [{"payload": {"a": "out"}}]


def test_the_document_has_the_options_of_a_job(tmp_path: Path) -> None:
    x_job = {
        "queue": "mail.eu-1",
        "timeout": "P1DT1M",
        "concurrency": {"limit": 2, "by": ["/b"]},
        "rate": {"limit": 3, "per": "PT0.25S", "by": ["/b"]},
        "unique": {"by": ["/b"], "onConflict": "replace"},
        "shardBy": "/b",
        "retention": {"completed": "P7D"},
        "schedules": [{"name": "nightly", "cron": "0 3 * * *", "params": {"b": "x"}}],
        "redact": ["/a"],
    }
    params = {**an_object(a={"type": "string"}, b={"type": "string"}), "required": ["b"]}
    found = document(tmp_path, {"one.json": a_spec(params, **{"x-job": x_job})})

    told = found["operations"]["runOne"]["x-job"]
    assert {key: told[key] for key in x_job if key not in ("rate", "schedules")} == {
        key: value for key, value in x_job.items() if key not in ("rate", "schedules")
    }
    assert told["rate"] == {"limit": 3, "per": "PT0.25S", "by": ["/b"]}
    assert told["schedules"][0] | {"cron": "0 3 * * *", "params": {"b": "x"}} == told["schedules"][0]
    assert (told["maxAttempts"], told["retry"]["backoff"]) == (3, "exponential")
    assert [found["channels"][name]["address"] for name in found["channels"]] == ["mail.eu-1", None]


# Half of these random schemas are refused as specs.
@settings(max_examples=FEW, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(object_schemas(schemas), st.fixed_dictionaries(dict.fromkeys(DEFINITIONS, schemas)), st.text())
def test_every_spec_gives_a_self_contained_document(params: Schema, definitions: Schema, text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        specs = read(Path(folder), {"case.json": a_spec(params, description=text, **{"$defs": definitions})})
    assume(not specs.problems)
    found = json.loads(asyncapi_text(specs.jobs))

    assert errors(found) == []
    for reference in references({key: found[key] for key in ("channels", "operations")}):
        at(found, reference)
    payload = at(found, found["components"]["messages"]["CaseParams"]["payload"]["$ref"])
    for reference in references(payload):
        at(found, reference)


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (timedelta(0), "PT0S"),
        (timedelta(seconds=90), "PT1M30S"),
        (timedelta(days=1, hours=12), "P1DT12H"),
        (timedelta(days=7), "P7D"),
        (timedelta(milliseconds=250), "PT0.25S"),
        (timedelta(hours=1, microseconds=1), "PT1H0.000001S"),
    ],
)
def test_a_duration_is_shown_as_in_a_spec(length: timedelta, text: str) -> None:
    assert duration(length) == text
