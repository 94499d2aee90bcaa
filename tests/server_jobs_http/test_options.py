"""Invalid settings are rejected at once, with advice."""

from __future__ import annotations

import re

import pytest
from server_jobs.errors import InvalidOptionError
from server_jobs_http import HttpOptions

from tests.server_jobs_http.caller import Caller


@pytest.mark.parametrize(
    "host",
    ["*", "*.example.com", "", "https://a.example", "a.example:8000", "a.example/", "[::1]", "a b", "zoë.example"],
)
def test_an_invalid_host_name_is_refused(host: str) -> None:
    with pytest.raises(InvalidOptionError, match=f"^allowed_hosts has {re.escape(repr(host))}, which is no name of"):
        HttpOptions(allowed_hosts=("a.example", host))


@pytest.mark.parametrize(
    "origin",
    [
        "*",
        "null",
        "",
        "admin.example.com",
        "localhost:3000",
        "//admin.example.com",
        "https://",
        "https://*.example.com",
        "https://ann@admin.example.com",
        "https://admin.example.com:port",
        "https://admin.example.com:99999",
        "https://[::1",
        "https://zoë.example",
    ],
)
def test_an_invalid_origin_is_refused(origin: str) -> None:
    with pytest.raises(InvalidOptionError, match=f"^allowed_origins has {re.escape(repr(origin))}, which is no origin"):
        HttpOptions(allowed_origins=(origin,))


@pytest.mark.parametrize(
    ("origin", "written"),
    [
        ("https://admin.example.com/", "https://admin.example.com"),
        ("https://admin.example.com/jobs?a=b#c", "https://admin.example.com"),
        ("https://Admin.example.com", "https://admin.example.com"),
        ("HTTPS://admin.example.com", "https://admin.example.com"),
        ("https://admin.example.com:443", "https://admin.example.com"),
        ("http://localhost:80", "http://localhost"),
        ("http://localhost:03000", "http://localhost:3000"),
    ],
)
def test_an_origin_that_no_browser_writes_so_is_refused_with_how_they_do(origin: str, written: str) -> None:
    with pytest.raises(InvalidOptionError, match=f"{re.escape(repr(origin))}, which browsers write as '{written}'"):
        HttpOptions(allowed_origins=(origin,))


@pytest.mark.parametrize(
    "origin",
    [
        "https://admin.example.com",
        "http://localhost:3000",
        "http://[::1]:3000",
        "http://127.0.0.1",
        "tauri://localhost",
    ],
)
def test_origins_as_browsers_write_them_are_taken(origin: str) -> None:
    assert HttpOptions(allowed_origins=(origin,)).allowed_origins == (origin,)


@pytest.mark.parametrize(
    ("allowed", "header"),
    [("Jobs.Example", "jobs.example:8000"), ("::1", "[::1]:8000"), ("127.0.0.1", "127.0.0.1"), ("a_b-c.d", "A_B-c.d")],
)
async def test_hosts_are_compared_without_port_and_in_any_case(allowed: str, header: str) -> None:
    call = Caller(options=HttpOptions(allowed_hosts=(allowed,)))

    assert (await call("POST", "/trigger", headers={"host": header})).status_code == 200
    assert (await call("POST", "/trigger", headers={"host": f"x{header}"})).status_code == 421


@pytest.mark.parametrize("name", ["allowed_hosts", "allowed_origins"])
def test_one_text_is_not_taken_for_a_tuple_of_texts(name: str) -> None:
    with pytest.raises(InvalidOptionError, match=f"^{name} must be a tuple of texts, not 'a.example'"):
        HttpOptions(**{name: "a.example"})  # type: ignore[arg-type]  # on purpose
