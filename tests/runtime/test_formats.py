"""Formats are checked in full, and values come back as they went in."""

from __future__ import annotations

import ast
import sys
from datetime import date, datetime, timedelta, timezone
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ConfigDict, TypeAdapter, ValidationError
from server_jobs import formats
from server_jobs.formats import FORMATS, Date, DateTime, Email, Ipv4, Ipv6, Json, Uri, Uuid
from server_jobs.model import JobModel

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
            "2026-03-29T08:30:00.1234567Z",
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


@pytest.mark.parametrize(
    ("name", "text"), [("email", "Ada@EXAMPLE.com"), ("uri", "HTTPS://e.com"), ("duration", "P1M")]
)
def test_texts_keep_their_bytes(name: str, text: str) -> None:
    assert adapter(name).dump_json(adapter(name).validate_json(as_json(text))) == as_json(text)


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
def test_every_instant_goes_through_json(instant: datetime) -> None:
    offset = instant.utcoffset()
    instant = instant.astimezone(timezone(timedelta(minutes=(offset or timedelta()) // timedelta(minutes=1))))
    text = instant.isoformat()
    assert adapter("date-time").validate_json(as_json(text)) == instant


@given(st.uuids() | st.ip_addresses() | st.dates())
def test_every_value_of_the_standard_library_goes_through_json(value: UUID | IPv4Address | IPv6Address | date) -> None:
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
    assert {module.split(".")[0] for module in modules} <= {*sys.stdlib_module_names, "pydantic", "pydantic_core"}
