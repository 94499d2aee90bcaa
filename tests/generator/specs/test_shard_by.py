"""The keyword `shardBy`: the pointers that it accepts, and the keys that must go by it."""

# ruff: noqa: E501  # a case and its whole message stand on one line, like the rows of a table

from __future__ import annotations

from pathlib import Path

import pytest

from tests.generator.contracts.history import needing
from tests.generator.spec_projects import Schema, a_spec, an_object, job, read

TEXT: Schema = {"type": "string"}
DEFINITIONS: Schema = {"Account": needing(number=TEXT)}
ALWAYS: Schema = {
    "tenant": {"type": "string", "format": "uuid"},
    "region": {"type": "integer"},
    "customer": needing(id=TEXT),
    "account": {"$ref": "#/$defs/Account"},
    "name": {"type": ["string", "null"]},
    "share": {"type": "number"},
}
PARAMS: Schema = {**an_object(note=TEXT, **ALWAYS), "required": [*ALWAYS]}


def spec(params: Schema = PARAMS, **options: object) -> Schema:
    """Return a spec with these params and options."""
    return a_spec(params, **{"x-job": options, "$defs": DEFINITIONS})


def problems(tmp_path: Path, document: Schema) -> list[str]:
    """Return the problems of this spec, without the ids of the rules."""
    return [str(problem).rpartition(" [")[0] for problem in read(tmp_path, {"case.json": document}).problems]


@pytest.mark.parametrize("pointer", ["/tenant", "/region", "/customer/id", "/account/number"])
def test_a_required_text_or_whole_number_chooses_the_shard(tmp_path: Path, pointer: str) -> None:
    found = job(tmp_path, spec(shardBy=pointer))
    assert found.options.shard_by == pointer


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (3, '/shardBy must be a JSON pointer to a required property of params such as "/tenant", not 3'),
        ("", '/shardBy must be a JSON pointer to a required property of params such as "/tenant", not ""'),
        (
            "tenant",
            '/shardBy must be a JSON pointer to a required property of params such as "/tenant", not "tenant" (did you mean "/tenant"?)',
        ),
        (
            "/tennant",
            '/shardBy "/tennant" leads to nothing in params: there is no "tennant" (did you mean "/tenant"?)',
        ),
        (
            "/note",
            '/shardBy "/note" must be in all params, so that each job has a database; state "note" in properties and in required',
        ),
        ("/customer", '/shardBy "/customer" must have the type "string" or "integer", as it chooses a database'),
        ("/name", '/shardBy "/name" must have the type "string" or "integer", as it chooses a database'),
        ("/share", '/shardBy "/share" must have the type "string" or "integer", as it chooses a database'),
    ],
)
def test_other_values_are_refused_with_the_reason(tmp_path: Path, value: object, message: str) -> None:
    (line,) = problems(tmp_path, spec(shardBy=value))
    assert line.partition("/x-job")[2] == message


def test_a_property_of_one_branch_does_not_choose_the_shard(tmp_path: Path) -> None:
    params: Schema = {"anyOf": [needing(tenant=TEXT), needing(other=TEXT)]}
    (line,) = problems(tmp_path, spec(params, shardBy="/tenant"))
    assert '"/tenant" must be in all params' in line


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("unique", {"unique": {"by": ["/customer/id"]}}),
        ("concurrency", {"concurrency": {"limit": 1}}),
        ("concurrency", {"concurrency": {"limit": 1, "by": ["/region"]}}),
        ("rate", {"rate": {"limit": 1, "per": "PT1M", "by": ["/customer"]}}),
    ],
)
def test_a_key_that_two_shards_could_share_is_refused(tmp_path: Path, name: str, keys: dict[str, object]) -> None:
    (line,) = problems(tmp_path, a_spec(PARAMS, **{"x-job": {"shardBy": "/tenant", **keys}, "$defs": DEFINITIONS}))
    assert line.partition("/x-job")[2] == (
        f'/{name}/by must contain "/tenant", the value of shardBy: a database knows only its own jobs; '
        f"add it, or leave out {name}"
    )


@pytest.mark.parametrize(
    ("shard_by", "keys"),
    [
        ("/tenant", {"unique": {"by": ["/region", "/tenant"]}, "concurrency": {"limit": 1, "by": ["/tenant"]}}),
        ("/tenant", {"unique": {"by": [""]}}),
        ("/customer/id", {"rate": {"limit": 1, "per": "PT1M", "by": ["/customer"]}}),
    ],
)
def test_a_key_may_have_the_pointer_or_a_part_around_it(tmp_path: Path, shard_by: str, keys: dict[str, object]) -> None:
    assert (
        job(tmp_path, a_spec(PARAMS, **{"x-job": {"shardBy": shard_by, **keys}, "$defs": DEFINITIONS})).options.shard_by
        == shard_by
    )


def test_a_redacted_value_does_not_choose_the_shard(tmp_path: Path) -> None:
    (line,) = problems(tmp_path, spec(shardBy="/customer/id", redact=["/customer"]))
    assert line.partition("/x-job")[2] == (
        '/shardBy "/customer/id" is redacted, and errors and addresses show the value of shardBy; choose another one'
    )
