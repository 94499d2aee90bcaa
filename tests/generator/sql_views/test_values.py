"""A view shows each JSON value with the right type and value, and NULL for a value that does not fit."""

from __future__ import annotations

import json
import os
import uuid
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from server_jobs_generator.ir.spec import JobSpec
from server_jobs_generator.migrations.declared_state import view_columns
from server_jobs_generator.python.names import property_name, snake_case
from server_jobs_generator.sql import view_name
from sqlalchemy import Engine, text

from tests.generator.spec_projects import a_spec, an_object, job

from .view_databases import ViewDatabase, opened

EXAMPLES = 1500 if os.environ.get("SERVER_JOBS_LONG_TESTS") else 25
BOUNDED = {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1}
PROPERTIES: dict[str, object] = {
    "title": {"type": "string"},
    "ownerId": {"type": "string", "format": "uuid"},
    "bornOn": {"type": "string", "format": "date"},
    "startsAt": {"type": "string", "format": "date-time"},
    "count": BOUNDED,
    "huge": {"type": "integer"},
    "ratio": {"type": "number"},
    "isOpen": {"type": "boolean"},
    "nickname": {"type": ["string", "null"]},
    "tags": {"type": "array", "items": {"type": "string"}},
    "address": an_object(city={"type": "string"}),
    "anything": True,
    "either": {"type": ["string", "integer"]},
    "color": {"enum": ["red", "green", None]},
    "level": {"const": 3},
    "size": {"$ref": "#/$defs/Size"},
    "step": {"enum": [1, 2.5]},
    "day": {"type": "string", "format": "date", "enum": ["2024-02-29"]},
    "whole": {"enum": [1.0, 2]},
}
COLUMNS = {f"params_{snake_case(name)}": name for name in PROPERTIES}
UUID = "0190c5a4-7b7e-7cc3-a1f0-0123456789ab"


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> JobSpec:
    size = {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 9}, {"type": "null"}]}
    spec = a_spec(an_object(**PROPERTIES), an_object(**PROPERTIES), **{"$defs": {"Size": size}})
    return job(tmp_path_factory.mktemp("spec"), spec)


@pytest.fixture
def views(database: ViewDatabase, everything: JobSpec) -> ViewDatabase:
    database.make_views(everything)
    return database


def shown(views: ViewDatabase, job: JobSpec, **properties: object) -> dict[str, object]:
    """Return the columns of params and of result, which must be equal, for a job with these properties in both."""
    document = json.dumps(properties, ensure_ascii=False)
    row = views.columns(job, views.insert(job, document, document))
    params = {name: value for name, value in row.items() if name.startswith("params_")}
    result = {f"params_{name[7:]}": value for name, value in row.items() if name.startswith("result_")}
    assert params == result
    return {name: value for name, value in params.items() if value is not None}


@pytest.mark.parametrize(
    ("name", "value", "on_sqlite", "on_postgresql"),
    [
        ("title", "Grüße \U0001f600 'x' \"y\" \\ \n\t", ..., ...),
        ("title", "", ..., ...),
        ("owner_id", UUID, ..., uuid.UUID(UUID)),
        ("owner_id", UUID.upper(), UUID, uuid.UUID(UUID)),
        ("born_on", "2024-02-29", ..., date(2024, 2, 29)),
        (
            "starts_at",
            "2024-02-29T12:30:00.123456+05:30",
            "2024-02-29T07:00:00.123Z",
            datetime(2024, 2, 29, 7, 0, 0, 123456, UTC),
        ),
        ("starts_at", "2024-02-29t07:00:00z", "2024-02-29T07:00:00.000Z", datetime(2024, 2, 29, 7, tzinfo=UTC)),
        ("starts_at", "2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000Z", datetime(2017, 1, 1, tzinfo=UTC)),
        ("starts_at", "2017-01-01T05:29:60+05:30", "2017-01-01T00:00:00.000Z", datetime(2017, 1, 1, tzinfo=UTC)),
        ("starts_at", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("count", 2**63 - 1, ..., ...),
        ("count", -(2**63), ..., ...),
        ("count", 2**53 + 1, ..., ...),
        ("count", 7.0, 7, 7),
        ("huge", 2**53 + 1, ..., Decimal(2**53 + 1)),
        ("huge", 2**63, str(2**63), Decimal(2**63)),
        ("huge", -(10**40) - 1, str(-(10**40) - 1), Decimal(-(10**40) - 1)),
        ("ratio", 0.1, ..., ...),
        ("ratio", 3, 3.0, 3.0),
        ("ratio", 1.7976931348623157e308, ..., ...),
        ("is_open", True, 1, True),
        ("is_open", False, 0, False),
        ("nickname", "Ada", ..., ...),
        ("tags", ["a", "ü"], '["a","ü"]', ["a", "ü"]),
        ("tags", [], "[]", []),
        ("address", {"city": "Köln"}, '{"city":"Köln"}', {"city": "Köln"}),
        ("anything", "text", '"text"', "text"),
        ("anything", 1, "1", 1),
        ("either", "1", '"1"', "1"),
        ("either", 1, "1", 1),
        ("color", "red", ..., ...),
        ("level", 3, ..., ...),
        ("size", 9, ..., ...),
        ("step", 1, 1.0, 1.0),
        ("step", 2.5, ..., ...),
        ("day", "2024-02-29", ..., date(2024, 2, 29)),
        ("whole", 2.0, 2, 2),
    ],
)
def test_a_value_has_the_type_of_its_column(
    views: ViewDatabase, everything: JobSpec, name: str, value: object, on_sqlite: object, on_postgresql: object
) -> None:
    expected = on_sqlite if views.is_sqlite else on_postgresql
    columns = shown(views, everything, **{COLUMNS[f"params_{name}"]: value})
    assert columns == {f"params_{name}": value if expected is ... else expected}
    assert type(columns[f"params_{name}"]) is type(value if expected is ... else expected)


MISFITS: dict[str, list[object]] = {
    "title": [1, True, ["a"], {"a": 1}],
    "ownerId": [UUID[:-1], UUID + "0", "{" + UUID + "}", UUID.replace("0", "x"), "0" * 8 + "----" + "0" * 24, 5],
    "bornOn": ["2023-02-29", "tomorrow", "0000-01-01", "2024-01-01T00:00:00Z", 20240101],
    "startsAt": [
        *("now", "2024-01-01", "2024-13-01T00:00:00Z", "2024-01-01T00:00:00", "2024-02-30T00:00:00Z", 1),
        *("2024-01-01T00:00:00 Z", "2024-01-01T00:00:00.000", "2024-01-01T00:00:00+23:59", "0000-01-01T00:00:00Z"),
        # Years that no driver supports.
        *("9999-12-31T23:59:59-05:00", "0001-01-01T00:00:00+05:00"),
    ],
    "count": ["1", 1.5, True, 1e300, 2**63],
    "huge": ["1", 0.5, True, [1]],
    "ratio": ["1", True, 10**400],
    "isOpen": [0, 1, "true"],
    "nickname": [1, False],
    "color": [1],
    "level": ["3"],
    "step": ["1"],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in MISFITS.items() for value in values])
def test_an_invalid_value_is_null_and_changes_no_other_column(
    views: ViewDatabase, everything: JobSpec, name: str, value: object
) -> None:
    columns = shown(views, everything, **{name: value, "title": "still there"} if name != "title" else {name: value})
    others = {key: value for key, value in columns.items() if key != f"params_{snake_case(name)}"}
    assert others == ({} if name == "title" else {"params_title": "still there"})
    assert f"params_{snake_case(name)}" not in columns


@pytest.mark.parametrize("name", PROPERTIES)
def test_null_and_a_missing_property_are_both_null(views: ViewDatabase, everything: JobSpec, name: str) -> None:
    assert shown(views, everything, **{name: None}) == shown(views, everything) == {}


@pytest.mark.parametrize(
    "document",
    [
        "",
        "{",
        "nonsense",
        "[]",
        "5",
        "null",
        '"text"',
        '{"title":"\\u0000"}',
        '{"title":"\\ud800"}',
        '{"huge":1e999999}',
    ],
)
def test_a_row_that_is_no_json_object_keeps_no_other_from_being_seen(
    views: ViewDatabase, everything: JobSpec, document: str
) -> None:
    broken = views.insert(everything, document, document)
    sound = views.insert(everything, '{"title":"sound"}')
    # SQLite reads a lone surrogate, but Python cannot. Such a row is visible except for the column.
    if document != '{"title":"\\ud800"}' or not views.is_sqlite:
        assert views.columns(everything, broken)["status"] == "completed"
    assert views.columns(everything, sound)["params_title"] == "sound"
    count = text(f"SELECT count(params_title) FROM {view_name(everything.spec_name)}")
    assert views.connection.execute(count).scalar_one() in (1, 2)


def test_a_view_shows_the_rows_of_its_job_alone_in_every_version(views: ViewDatabase, everything: JobSpec) -> None:
    ids = [views.insert(everything, "{}", spec_version=version) for version in (1, 2)]
    views.insert(everything, "{}", job_name="Other")
    rows = views.connection.execute(text(f"SELECT id, version FROM {view_name(everything.spec_name)} ORDER BY version"))
    assert [tuple(row) for row in rows] == [(ids[0], 1), (ids[1], 2)]


@pytest.mark.parametrize("milliseconds", [0, 1, 999, 1_700_000_000_123, 253_402_300_799_999])
def test_times_of_a_job_read_as_iso_text_on_sqlite(views: ViewDatabase, everything: JobSpec, milliseconds: int) -> None:
    if not views.is_sqlite:
        time = datetime(2024, 5, 6, 7, 8, 9, 123456, UTC)
        assert views.columns(everything, views.insert(everything, "{}", completed_at=time))["completed_at"] == time
        return
    job_id = views.insert(everything, "{}", completed_at=text(str(milliseconds)))
    expected = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
    stamp = expected.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert views.columns(everything, job_id)["completed_at"] == stamp


def test_properties_of_alternatives_have_columns_of_all_that_they_may_be(
    database: ViewDatabase, tmp_path: Path
) -> None:
    card = {**an_object(kind={"const": "card"}, number={"type": "string"}, amount=BOUNDED), "required": ["kind"]}
    cash = {**an_object(kind={"const": "cash"}, amount={"type": "number"}, given=BOUNDED), "required": ["kind"]}
    extra = {"type": "object", "properties": {"note": {"type": "string"}, "amount": False}}
    params = {
        "type": "object",
        "unevaluatedProperties": False,
        "properties": {"to": {"type": "string"}},
        "oneOf": [{"$ref": "#/$defs/Card"}, cash],
    }
    result = {
        "type": "object",
        "unevaluatedProperties": False,
        "required": ["sum"],
        "properties": {"sum": BOUNDED},
        "if": {"properties": {"sum": {"const": 0}}},
        "then": extra,
        "dependentSchemas": {"sum": extra},
    }
    spec = job(tmp_path, a_spec(params, result, **{"$defs": {"Card": card}}))
    database.make_views(spec)

    expected: dict[str, object] = {"params_to": "x", "params_kind": "cash", "params_number": None}
    expected |= {"params_amount": 1.5, "params_given": 2, "result_sum": 0, "result_note": "y", "result_amount": None}
    row = database.columns(
        spec, database.insert(spec, '{"to":"x","kind":"cash","amount":1.5,"given":2}', '{"sum":0,"note":"y"}')
    )
    assert {column.name: row[column.name] for column in view_columns(spec)} == expected


def test_redacted_properties_have_no_column(tmp_path: Path) -> None:
    card = an_object(number={"type": "string"})
    params = an_object(**{"card": card, "to": {"type": "string"}, "a/b~c": {"type": "string"}})
    spec = a_spec(params, an_object(to={"type": "string"}), **{"x-job": {"redact": ["/card/number", "/a~1b~0c"]}})
    assert [column.name for column in view_columns(job(tmp_path, spec))] == ["params_to", "result_to"]
    spec = a_spec(params, **{"x-job": {"redact": [""]}})
    assert view_columns(job(tmp_path, spec)) == ()


hostile_names = st.text(
    st.one_of(
        st.sampled_from("\"'\\$.[]%:?;-/*`(){}\n\r\t\x01\x7f\x85\u2028\u202e aZ_1é☃\U0001f600"),
        st.characters(codec="utf-8"),
    ),
    min_size=1,
    max_size=80,
).filter(lambda name: "\0" not in name and property_name(name) is not None)


@given(
    names=st.lists(hostile_names, min_size=1, max_size=4, unique_by=lambda name: str(property_name(name)).casefold())
)
@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_column_shows_a_property_of_any_name(engine: Engine, tmp_path: Path, names: list[str]) -> None:
    kinds: list[dict[str, object]] = [
        {"type": "string"},
        {"type": "integer"},
        {"type": "array", "items": {"type": "integer"}},
        {"type": "boolean"},
    ]
    values: list[object] = ["it's", 7, [1, 2], True]
    spec = job(tmp_path, a_spec(an_object(**dict(zip(names, kinds, strict=False)))))
    with opened(engine) as database:
        database.make_views(spec)
        job_id = database.insert(spec, json.dumps(dict(zip(names, values, strict=False)), ensure_ascii=False))
        database.insert(spec, "{}")
        row = database.columns(spec, job_id)
        shown = [row[column.name] for column in view_columns(spec)]
        expected = [*values[:2], "[1,2]" if database.is_sqlite else [1, 2], True]
        assert shown == expected[: len(names)]
        database.drop_views(spec)


@given(value=st.one_of(st.text(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans()))
@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_value_is_shown_as_it_is_or_not_at_all(views: ViewDatabase, everything: JobSpec, value: object) -> None:
    document = json.dumps(dict.fromkeys(PROPERTIES, value))
    row = views.columns(everything, views.insert(everything, document))
    is_storable = not (isinstance(value, str) and "\0" in value)
    if isinstance(value, str) and is_storable:
        assert row["params_title"] == value
    if isinstance(value, bool):
        assert row["params_is_open"] == value
    elif isinstance(value, int):
        assert row["params_huge"] in (value, str(value))
    if isinstance(value, float):
        # SQLite reads a decimal exactly to 15 digits: the last bit may differ.
        assert row["params_ratio"] == (pytest.approx(value, rel=1e-15, abs=5e-324) if views.is_sqlite else value)
    anything = row["params_anything"]
    if is_storable:
        read = json.loads(str(anything)) if views.is_sqlite else anything
        # PostgreSQL keeps numbers as decimals, and writes a whole number without its exponent.
        assert (float(str(read)) if isinstance(value, float) else read) == value
