"""Formats are checked in full, and values come back unchanged."""

from __future__ import annotations

import ast
import copy
import pickle
import sys
from datetime import UTC, date, datetime, timedelta, timezone
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ConfigDict, TypeAdapter, ValidationError
from server_jobs.contract import formats
from server_jobs.contract.formats import FORMATS, Date, DateTime, Email, Ipv4, Ipv6, Json, Uri, Uuid
from server_jobs.contract.model import JobModel

CASES: dict[str, tuple[str, list[str], list[str]]] = {
    "email": (
        "Email",
        [
            "ada@example.com",
            "te~st@example.com",
            '"joe bloggs"@example.com',
            '"joe..bloggs"@example.com',
            "ada@[127.0.0.1]",
            "ada@[IPv6:::1]",
            "user@localhost",
            "a+b@xn--bcher-kva.example",
            "O'Hara@example.com",
        ],
        [
            "",
            "2962",
            "@example.com",
            "ada@",
            ".ada@example.com",
            "ada.@example.com",
            "a..b@example.com",
            "ada@invalid=domain.com",
            "ada@[127.0.0.300]",
            "ada@exa mple.com",
            "ada@example.com\nBcc: eve@example.com",
            "ada@example.com\n",
            '"a\r\nb"@example.com',
            "ädä@example.com",
            "Ada <ada@example.com>",
            f"{'a' * 65}@example.com",
            f"a@{'a.' * 130}com",
        ],
    ),
    "hostname": (
        "Hostname",
        ["localhost", "www.example.com", "a-b.c", "3com.com", "xn--bcher-kva.example", f"{'a' * 63}.b"],
        [
            "",
            ".",
            "a..b",
            "a.",
            "-a",
            "a-",
            "a_b",
            "a b",
            "ab--cd",
            "xn--",
            "xn--abc-",
            "xn--X",
            "bücher.example",
            f"{'a' * 64}",
            "a" + ".a" * 127,
        ],
    ),
    "uri": (
        "Uri",
        [
            "https://example.com",
            "HTTP://EXAMPLE.com/A?b=c#d",
            "https://user:pw@example.com:8080/%20",
            "http://[::1]:80/",
            "http://[v1.a:b]/",
            "urn:isbn:0451450523",
            "mailto:ada@example.com",
            "file:///etc/hosts",
            "a:",
        ],
        [
            "",
            "//example.com/x",
            "/path",
            "example.com",
            "http://exa mple.com",
            "http://example.com:port/",
            "http://[::1",
            "http://[fe80::1%25eth0]/",
            "http://[::1]x/",
            "https://bücher.example",
            "https://example.com/\n",
            "https://example.com/%2",
            "https://example.com/<a>",
            "1http://x",
            "https://example.com/a#b#c",
            'https://example.com/"',
        ],
    ),
    "date": (
        "Date",
        ["2026-03-29", "2024-02-29", "0001-01-01", "9999-12-31"],
        ["", "2026-3-29", "2026-02-29", "2026-13-01", "20260329", "2026-W13-7", "2026-03-29T00:00:00Z", "0000-01-01"],
    ),
    "date-time": (
        "DateTime",
        [
            "2026-03-29T08:30:00Z",
            "2026-03-29t08:30:00z",
            "2026-03-29T08:30:00.5+02:00",
            "2026-03-29T08:30:00.123456-23:59",
        ],
        [
            "",
            "2026-03-29",
            "2026-03-29T08:30:00",
            "2026-03-29 08:30:00Z",
            "2026-03-29T08:30Z",
            "2026-03-29T24:00:00Z",
            "2026-03-29T08:30:60Z",
            "2026-03-29T08:30:00+24:00",
            "2026-03-29T08:30:00+01:60",
            "2026-03-29T08:30:00.Z",
            "1774773000",
            "2026-02-30T08:30:00Z",
            "\uff12026-03-29T08:30:00Z",
        ],
    ),
    "time": (
        "Time",
        ["08:30:00Z", "08:30:00.123456789+05:30", "23:59:60Z", "15:59:60-08:00", "00:29:60+00:30"],
        ["", "08:30:00", "08:30Z", "24:00:00Z", "08:60:00Z", "08:30:60Z", "08:30:00+24:00", "08:30:00 Z", "1234Z"],
    ),
    "duration": (
        "Duration",
        ["PT30S", "P1D", "P4Y", "P1Y2M3DT4H5M6S", "P1M", "P2W", "PT1H30M", "PT0S"],
        [
            "",
            "P",
            "PT",
            "P1",
            "1D",
            "P1D1Y",
            "P1YT",
            "PT1D",
            "P1Y2W",
            "PT0.5S",
            "PT1H5S",
            "P-1D",
            "-P1D",
            "P\uff11Y",
            "p1d",
        ],
    ),
    "uuid": (
        "Uuid",
        ["123e4567-e89b-12d3-a456-426614174000", "123E4567-E89B-12D3-A456-426614174000", f"{UUID(int=0)}"],
        [
            "",
            "123e4567e89b12d3a456426614174000",
            "{123e4567-e89b-12d3-a456-426614174000}",
            "urn:uuid:123e4567-e89b-12d3-a456-426614174000",
            "123e4567-e89b-12d3-a456-42661417400g",
            "123e-4567e89b-12d3-a456-426614174000",
        ],
    ),
    "idn-email": (
        "IdnEmail",
        ["ada@example.com", "ädä@bücher.example", '"ä b"@example.com', "ä@[127.0.0.1]"],
        ["", "ada", "ä@", "@ä.de", "ä ä@example.com", "ä@a_b", f"{'ä' * 33}@example.com"],
    ),
    "idn-hostname": (
        "IdnHostname",
        ["example.com", "bücher.example", "xn--bcher-kva.example", "l·l", "例え。テスト"],
        ["", "a.", "-ä", "BÜCHER", "bu\u0308cher", "a·b", "ä" * 70, "aא"],
    ),
    "uri-reference": ("UriReference", ["", "/a", "../a?b#c", "//host", "https://e.com"], ["1:b", "/ä", "a b", "\\a"]),
    "uri-template": ("UriTemplate", ["", "/users/{name}", "{?a,b*}", "{v:3}"], ["{", "{}", "a}", "{v:0}", "a b"]),
    "iri": ("Iri", ["https://example.com/ä", "urn:ä"], ["/ä", "https://a b", "ä"]),
    "iri-reference": ("IriReference", ["", "/ä", "#ä", "//ä/b"], ["a b", "\\ä", "#ä\\"]),
    "json-pointer": ("JsonPointer", ["", "/", "/a~0b~1c/0", "/ä b"], ["a", "/~", "/~2", "#/a"]),
    "relative-json-pointer": ("RelativeJsonPointer", ["0", "12/a", "1#"], ["", "01", "/a", "-1", "1##", "1\n"]),
    "regex": (
        "Regex",
        ["", "a|b", "(?<=a+)b", "(?<n>a)\\k<n>", "[\\d-]", "[]", "(a)\\1", "a{2,3}?", "\\u{1F600}", "\\p{L}"],
        ["(", "a)", "[", "a**", "\\a", "(?i)a", "\\1", "\\k<n>", "[b-a]", "[\\d-z]", "{1}", "a{3,2}", "(" * 200],
    ),
    "byte": ("Byte", ["", "aGVsbG8=", "YQ==", "YWI="], ["a", "YQ", "YQ=", "Y Q==", "YQ==\n", "@@@@", "YQ-_"]),
    "ipv4": (
        "Ipv4",
        ["192.0.2.1", "0.0.0.0"],
        ["", "192.0.2", "192.0.2.01", "256.0.0.1", "192.0.2.1/24", "3221225985"],
    ),
    "ipv6": (
        "Ipv6",
        ["::1", "2001:db8::1", "::ffff:192.0.2.1"],
        ["", "192.0.2.1", "fe80::1%eth0", "1::2::3", "::1/64"],
    ),
}


def adapter(name: str) -> TypeAdapter[Any]:
    return TypeAdapter(getattr(formats, CASES[name][0]), config=ConfigDict(strict=True))


def as_json(text: str) -> bytes:
    return TypeAdapter(str).dump_json(text)


def cases(part: int) -> list[tuple[str, str]]:
    return [(name, text) for name, case in CASES.items() for text in case[part]]


def test_every_format_has_cases() -> None:
    assert CASES.keys() == FORMATS.keys()


@pytest.mark.parametrize(("name", "text"), cases(1))
def test_a_value_of_the_format_is_accepted_and_reads_back_equal(name: str, text: str) -> None:
    assert FORMATS[name](text)
    value = adapter(name).validate_json(as_json(text))
    assert adapter(name).validate_python(value) == value
    assert adapter(name).validate_json(adapter(name).dump_json(value)) == value


@pytest.mark.parametrize(("name", "text"), cases(2))
def test_anything_else_is_refused(name: str, text: str) -> None:
    assert not FORMATS[name](text)
    with pytest.raises(ValidationError, match=r"Input should be an? "):
        adapter(name).validate_json(as_json(text))


@pytest.mark.parametrize(("name", "text"), cases(1))
def test_texts_keep_their_bytes(name: str, text: str) -> None:
    assert adapter(name).dump_json(adapter(name).validate_json(as_json(text))) == as_json(text)


WRITTEN = {
    "date-time": ["2024-01-01T00:00:00.000Z", "2024-01-01t00:00:00+00:00", "2016-12-31T23:59:60Z"],
    "uuid": ["123E4567-E89B-12D3-A456-426614174000"],
    "ipv6": ["2001:DB8:0::1", "::FFFF:192.0.2.1"],
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in WRITTEN.items() for text in texts])
def test_a_value_remembers_how_it_was_written(name: str, text: str) -> None:
    read = adapter(name).validate_json(as_json(text))
    for value in (read, copy.copy(read), pickle.loads(pickle.dumps(read)), adapter(name).validate_python(read)):
        assert (value, hash(value)) == (read, hash(read))
        assert adapter(name).dump_json(value) == as_json(text)


def test_times_computed_from_a_parsed_time_forget_its_text() -> None:
    read = adapter("date-time").validate_json('"2024-01-01T00:00:00.000Z"')
    assert adapter("date-time").dump_json(read + timedelta(hours=1)) == b'"2024-01-01T01:00:00Z"'
    assert adapter("date-time").dump_json(read.replace(year=2025)) == b'"2025-01-01T00:00:00Z"'
    assert pickle.loads(pickle.dumps(read + timedelta(hours=1))) == read + timedelta(hours=1)
    assert repr(read) == "datetime.datetime(2024, 1, 1, 0, 0, tzinfo=datetime.timezone.utc)"


def test_a_leap_second_is_the_last_microsecond_before_it() -> None:
    read = adapter("date-time").validate_json('"2016-12-31T18:59:60.5-05:00"')
    assert read == datetime(2016, 12, 31, 23, 59, 59, 999_999, UTC)


def test_a_written_value_in_a_union_differs_from_others() -> None:
    union = TypeAdapter[Any](list[DateTime | Uuid | int | str], config=ConfigDict(strict=True))
    document = b'["2024-01-01T00:00:00.000Z","123E4567-E89B-12D3-A456-426614174000",1,"a"]'
    assert union.dump_json(union.validate_json(document)) == document


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("document", ["1774773000", "1.5", "true", "null", "[]"])
def test_other_json_types_are_refused(name: str, document: str) -> None:
    with pytest.raises(ValidationError):
        adapter(name).validate_json(document)


class Everything(JobModel, extra="forbid"):
    email: Email
    uri: Uri
    day: Date
    at: DateTime
    uuid: Uuid
    ipv4: Ipv4
    ipv6: Ipv6


def test_python_callers_use_the_types_of_the_standard_library() -> None:
    everything = Everything(
        email="ada@example.com",
        uri="https://example.com",
        day=date(2026, 3, 29),
        at=datetime(2026, 3, 29, 8, 30, tzinfo=timezone(timedelta(hours=2))),
        uuid=UUID(int=1),
        ipv4=IPv4Address("192.0.2.1"),
        ipv6=IPv6Address("::1"),
    )
    assert Everything.model_validate_json(everything.model_dump_json()) == everything


@pytest.mark.parametrize(
    ("name", "value"),
    [("date-time", datetime(2026, 3, 29)), ("date-time", "2026-03-29T08:30:00Z"), ("uuid", str(UUID(int=1)))],  # noqa: DTZ001  # a naive time is the point
)
def test_python_callers_get_no_conversion(name: str, value: object) -> None:
    with pytest.raises(ValidationError):
        adapter(name).validate_python(value)


@given(st.datetimes(timezones=st.timezones()))
def test_every_time_survives_json(instant: datetime) -> None:
    offset = instant.utcoffset()
    instant = instant.astimezone(timezone(timedelta(minutes=(offset or timedelta()) // timedelta(minutes=1))))
    text = instant.isoformat()
    assert adapter("date-time").validate_json(as_json(text)) == instant


@given(st.uuids() | st.ip_addresses() | st.dates())
def test_every_value_of_the_standard_library_survives_json(value: UUID | IPv4Address | IPv6Address | date) -> None:
    name = {UUID: "uuid", IPv4Address: "ipv4", IPv6Address: "ipv6", date: "date"}[type(value)]
    assert adapter(name).validate_json(as_json(str(value))) == value


@given(st.text())
def test_no_text_makes_a_check_raise(text: str) -> None:
    for check in FORMATS.values():
        assert check(text) in (True, False)


@pytest.mark.parametrize("document", ["NaN", "Infinity", "[-Infinity]", '{"a": [{"b": 1e999}]}'])
def test_any_json_value_is_finite(document: str) -> None:
    with pytest.raises(ValidationError, match="finite"):
        TypeAdapter(Json).validate_json(document)


def test_the_module_needs_nothing_but_pydantic_and_the_standard_library() -> None:
    tree = ast.parse(Path(formats.__file__).read_text(encoding="utf-8"))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    known = {*sys.stdlib_module_names, "pydantic", "pydantic_core", "schemas", "canonical_text"}
    assert {module.split(".")[0] for module in modules} <= known
