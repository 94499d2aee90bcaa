"""Any value in any place of any request: an answer with a reason, and no error of the server.

The places are those that the application has: routes and their path segments, the parameters and bodies of the OpenAPI
document, the fields that pages read, and the headers that the modules name.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import cast
from urllib.parse import quote, unquote, urlencode

import pytest
from pydantic import JsonValue
from server_jobs import Backend, create_job_registry, tick
from server_jobs.domain.record import NewJob
from server_jobs.engine.bulk import BulkAction
from server_jobs.memory import InMemoryBackend
from server_jobs.security.tokens import ALL_RIGHTS
from server_jobs.security.tokens import Caller as TokenCaller
from server_jobs_http import HttpOptions, Tokens, app, create_app
from server_jobs_http.dashboard import job_actions
from server_jobs_http.dashboard.job_list import FILTERS
from server_jobs_http.dashboard.pages import PAGES
from server_jobs_http.openapi import document
from server_jobs_http.routes.table import ROUTES
from starlette.types import ASGIApp, Message

from tests.conformance.postgres_databases import empty_database
from tests.server_jobs_http.caller import TOKEN, keep_job
from tests.slow import slow

JOB_ID = "0195c2a4-77a0-7cc1-a1f3-52a9b6a1c0de"
PARKED_ID = "0195c2a4-77a0-7cc1-a1f3-52a9b6a1c0df"
PERSON = TokenCaller("ann", ALL_RIGHTS)
AT_HOME = {"host": b"jobs.example", "authorization": f"Bearer {TOKEN}".encode()}
FORM = {"host": b"jobs.example", "content-type": b"application/x-www-form-urlencoded"}
SOURCES = [file.read_text(encoding="utf-8") for file in Path(app.__file__).parent.rglob("*.py")]

NUL = (b"\0", b"a\0b")  # PostgreSQL stores every other text
TEXTS = (
    *NUL,
    *(b"", b".", b"..", b"../../etc/passwd", b"%", b"%s{0.__class__}", b"' OR 1=1 --", b"a\r\nx-injected: 1"),
    # bytes that are no text, digits that are no ASCII, and characters that nobody sees
    *(b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xd9\xa1\xd9\xa2", b"\xc2\xb2", b"\xe2\x80\xae\xef\xbb\xbf"),
    *(b"-1", b"+1", b"1.5", b"1e9999", b"-1e-9999", b"NaN", b"Infinity", b"null", b"true"),
    *(b"9" * 5000, b"-" + b"9" * 5000, b"x" * 9000, b"[" * 3000 + b"]" * 3000, b'{"a":' * 900 + b"1" + b"}" * 900),
    *(b"0000-01-01T00:00:00Z", b"10000-01-01T00:00:00Z", b"2024-01-01T00:00:00+99:99", b"2024-02-30T00:00:00Z"),
    *(b"0001-01-01T00:00:00+14:00", b"9999-12-31T23:59:59-12:00", b"PT999999H", b"P99999D", b"P-1D", b"P1Y"),
    *(b"W1tbW1s=", b"eyJhIjogOTk5OTk5fQ==", b"0195c2a4-77a0-7cc1-a1f3-52a9b6a1c0ff", b"pending", b"delete"),
    *(b"params", b"params.text=1", b'params.text="\\ud800"', b'params.text="\\u0000"', b"/params/~~~0=1"),
    *(b"params" + b".a" * 2000 + b"=1", b"result.length=" + b"9" * 5000),
    *(b"*/0 * * * *", b"Europe/../../etc", b"/etc/passwd", b"paused:x", b"retried:999999999999"),
)
VALUES = (
    *TEXTS,
    *(json.dumps(text.decode(errors="replace")).encode() for text in TEXTS),
    *(b"[]", b"{}", b"[" * 100_000 + b"]" * 100_000, b'{"a":1,"a":2}', b'{"\\u0000":1}', b'{"\\ud800":1}'),
    *(b'"\\ud800"', b'"\\udc00\\ud800"', b'"raw\0"', b'"a', b"[1,[2,{", b"\xef\xbb\xbf{}"),
)
VALUES_WITH_NUL = (b'"\\u0000"', b'{"\\u0000":1}', b'["a\\u0000b"]')


@dataclass
class Target:
    """The application, with a stored job, a parked job, and a schedule. `strangers` sign in with a token."""

    app: ASGIApp
    strangers: ASGIApp
    csrf: str = ""

    async def __call__(
        self, method: str, address: str, headers: Mapping[str, bytes] = AT_HOME, body: bytes = b""
    ) -> tuple[int, str]:
        """Return the status and the body of the answer."""
        path, _, query = address.partition("?")
        messages: list[Message] = []
        asked = iter([{"type": "http.request", "body": body}])

        async def receive() -> Message:
            return next(asked, {"type": "http.disconnect"})

        async def send(message: Message) -> None:
            messages.append(message)

        scope = {"type": "http", "method": method, "path": unquote(path), "query_string": query.encode()}
        given = [(name.encode(), value) for name, value in headers.items()]
        app = self.strangers if "/sign-in" in path else self.app
        await app({**scope, "headers": given, "root_path": "", "scheme": "http"}, receive, send)
        text = b"".join(message.get("body", b"") for message in messages[1:]).decode()
        assert not any(b"\r" in value or b"\n" in value for _, value in messages[0]["headers"])
        return messages[0]["status"], text


@asynccontextmanager
async def target_on(store: str) -> AsyncIterator[Target]:
    """Yield the application on this store."""
    registry = create_job_registry().register(keep_job())
    with empty_database() if store == "postgresql" else nullcontext("") as url:
        backend = Backend(database=url, job_registry=registry) if url else InMemoryBackend(job_registry=registry)
        await backend.initialize()
        await backend.store.insert([NewJob(PARKED_ID, '{"text": 5}', job_name="Keep")])
        await tick(backend)
        options = HttpOptions(most_searches_per_caller=100)
        app = create_app(backend, Tokens(TOKEN), options=options, dashboard_access=lambda _: PERSON)
        target = Target(app, create_app(backend, Tokens(TOKEN), options=options))
        await target("POST", "/schedules/Keep/daily", JSON, b'{"cron":"0 0 1 1 *","params":{"text":"a"}}')
        await backend.store.insert([NewJob(JOB_ID, '{"text": "a"}', job_name="Keep")])
        await backend.store.cancel(JOB_ID, by="a")
        _, page = await target("GET", "/dashboard/enqueue/Keep")
        target.csrf = re.findall('name="csrf" value="([0-9a-f]{64})"', page)[0]
        yield target
        await backend.shutdown()


JSON = {**AT_HOME, "content-type": b"application/json"}
SEGMENTS = {"id": JOB_ID, "job": "Keep", "name": "daily", "action": "retry"}
Attack = tuple[str, str, Mapping[str, bytes], bytes]
"""The method, address, headers and body of a request."""
Place = tuple[str, Sequence[Attack]]
"""A name, and a request for each value."""


def filled(path: str, **others: str) -> str:
    """Return an address for the pattern of a path."""
    names = {**SEGMENTS, **({"name": "Keep"} if "/enqueue" in path else {}), **others}
    return re.sub(r"\{(\w+)\}", lambda found: names[found[1]], path)


@cache
def quoted(value: bytes) -> str:
    return quote(value, safe="")


def places_in_paths(values: Sequence[bytes]) -> Iterator[Place]:
    found = [(method, one.path) for one in ROUTES for method in sorted(one.methods or ())]
    found += [(method, f"/dashboard{path}") for method, path, _ in PAGES]
    for method, path in [*found, ("GET", "/dashboard/static/{name}")]:
        for name in re.findall(r"\{(\w+)\}", path):
            yield (
                f"{method} {path}, {name}",
                [(method, filled(path, **{name: quoted(value)}), JSON, b'{"params":{}}') for value in values],
            )


def places_in_queries(texts: Sequence[bytes]) -> Iterator[Place]:
    """Yield the parameters of the OpenAPI document, and those that pages read."""
    for path, method, operation in operations():
        for parameter in cast("list[dict[str, str]]", operation.get("parameters", [])):
            name = parameter["name"]
            if parameter["in"] == "query":
                given = [
                    (text, also) for text in texts for also in ("", "job_name=Keep&", f"{name}=1&", "signature=a&")
                ]
                requests = [
                    (method, f"{filled(path)}?{also}{name}={quoted(text)}", AT_HOME, b"") for text, also in given
                ]
                yield f"{method} {path}, {name}", requests
    read = {name for source in SOURCES for name in re.findall(r"\.query\(\"(\w+)\"\)", source)}
    assert read >= {"note", "q"}
    for method, path, _ in PAGES:
        names = {*read, *FILTERS} if path == "/jobs" else {"note"}
        for name in sorted(names) if method == "GET" else ():
            requests = [(method, f"/dashboard{filled(path)}?{name}={quoted(text)}", AT_HOME, b"") for text in texts]
            yield f"{method} {path}, {name}", requests
    yield (
        "GET /sign-in, next",
        [
            (method, f"/dashboard/sign-in?next={quoted(text)}", FORM, f"token={TOKEN}".encode())
            for text in texts
            for method in ("GET", "POST")
        ],
    )


def operations() -> Iterator[tuple[str, str, dict[str, JsonValue]]]:
    """Yield the path, method and description of each operation of the OpenAPI document."""
    for path, methods in inside(API, "paths").items():
        for method, operation in inside(methods).items():
            if isinstance(operation, dict):
                yield path, method.upper(), operation


API: JsonValue = document(create_job_registry().register(keep_job()), server="")
BODIES: dict[str, dict[str, JsonValue]] = {
    "/jobs/Keep": {"params": {"text": "a", "addresses": [{"street": "b"}]}},
    "/batches/Keep": {"params": [{"text": "a"}], "then": {"job_name": "Keep", "params": {"text": "a"}}},
    "/schedules/{job}/{name}": {"cron": "* * * * *", "params": {"text": "a"}},
    "/schedules/{job}/{name}/change": {"params": {"text": "a"}},
    **{f"/bulk/{action}": {"error_class": "none"} for action in BulkAction},
}


def places_in_bodies(values: Sequence[bytes]) -> Iterator[Place]:
    """Yield each member that a body may have, and each value in a usual body, replaced by another value."""
    for path, method, operation in operations():
        if "requestBody" not in operation:
            continue
        members = members_of(inside(operation, "requestBody", "content", "application/json", "schema"))
        body = BODIES[path]
        texts = [json.dumps({**body, name: "@"}) for name in members - body.keys()]
        texts += [json.dumps(one) for one in replaced(body)]
        for text in texts:
            requests = [(method, filled(path), JSON, text.encode().replace(b'"@"', value)) for value in values]
            yield f"{method} {path}, {text}", requests


def inside(value: JsonValue, *names: str) -> dict[str, JsonValue]:
    """Return an object inside a document."""
    for name in names:
        assert isinstance(value, dict)
        value = value[name]
    assert isinstance(value, dict)
    return value


def members_of(schema: dict[str, JsonValue]) -> set[str]:
    """Return the names of the members that a schema of the document describes."""
    if "$ref" in schema:
        schema = inside(API, *str(schema["$ref"]).removeprefix("#/").split("/"))
    return set(inside(schema, "properties"))


def replaced(value: JsonValue) -> Iterator[JsonValue]:
    """Yield copies of a value, in each of which one part is a mark."""
    yield "@"
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from ({**value, name: one} for one in replaced(inner))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from ([*value[:place], one, *value[place + 1 :]] for one in replaced(inner))


SELECTED = {"action": "retry", "id": JOB_ID, "confirmed": "1"}
FORMS: dict[str, list[dict[str, str]]] = {
    "/jobs": [{"all": "delete", "job": "Other", **dict.fromkeys(("after", "results", *FILTERS), "")}, SELECTED],
    "/queues": [{"queue": "mail", "action": "pause", "from": "overview"}],
    "/schedules": [{"schedule": "a", "action": "run"}],
    "/enqueue/{name}": [{"p/text": "a"}],
    "/jobs/{id}/repair": [{"p/text": "a"}],
    "/jobs/{id}/{action}": [{}],
    "/sign-out": [{}],
}


async def places_in_forms(texts: Sequence[bytes], target: Target) -> list[Place]:
    """Return each field of each form, with the field that a page has and those that it reads."""
    found: list[Place] = []
    sent = {"csrf"}
    for path, forms in FORMS.items():
        address = f"/dashboard{filled(path, id=PARKED_ID) if 'repair' in path else filled(path)}"
        _, page = await target("GET", address)
        shown = dict(re.findall(r'name="([^"]+)"(?: value="([^"]*)")?', page)) if path.count("/") > 1 else {}
        for form in forms:
            usual = {**shown, **form, "csrf": target.csrf, **({"back": ""} if form is SELECTED else {})}
            sent |= usual.keys()
            for name in usual:
                others = urlencode({key: text for key, text in usual.items() if key != name})
                bodies = [f"{others}&{quoted(name.encode())}={quoted(text)}".encode() for text in texts]
                found.append((f"the form {path}, {name}", [("POST", address, FORM, body) for body in bodies]))
    read = {name for source in SOURCES for name in re.findall(r"\.value\(\"(\w+)\"\)", source)}
    assert {method_path for method, method_path, _ in PAGES if method == "POST"} == FORMS.keys()
    assert read <= sent
    bodies = [f"token={quoted(text)}".encode() for text in texts]
    return [*found, ("token", [("POST", "/dashboard/sign-in", FORM, body) for body in bodies])]


def places_in_headers(texts: Sequence[bytes], csrf: str) -> Iterator[Place]:
    """Yield each header that a module reads."""
    pattern = r'headers\.(?:get|getlist)\(\s*"([\w-]+)"|"([\w-]+)" (?:not )?in request\.headers'
    names = {one or other for source in SOURCES for one, other in re.findall(pattern, source)}
    assert names >= {"host", "origin", "content-type", "cookie"}
    usual: list[Attack] = [
        ("POST", "/jobs/Keep", JSON, b'{"params":{"text":"a"}}'),
        ("POST", "/dashboard/queues", FORM, f"csrf={csrf}&queue=mail&action=pause".encode()),
        *(("GET", path, AT_HOME, b"") for path in ("/jobs", "/dashboard/", "/dashboard/sign-in")),
    ]
    for name in sorted({*names, "traceparent", "tracestate", "last-event-id"}):
        allowed = [text for text in texts if not re.search(rb"[\0\r\n]", text)]
        requests = [
            (method, path, {**given, name: text}, body) for text in allowed for method, path, given, body in usual
        ]
        yield name, requests


async def attack(target: Target, about: str, requests: Sequence[Attack], caplog: pytest.LogCaptureFixture) -> None:
    """Send the requests. Fail for an error of the server, and for a refusal without a reason."""
    for method, address, headers, body in requests:
        status, text = await target(method, address, headers, body)
        shown = f"{about}: {method} {address[:200]} {body[:200]!r}: {status} {text[-200:]}"
        assert 200 <= status < 500, shown
        if status >= 400 and method != "HEAD":
            assert "<main" in text or json.loads(text)["title"], shown
        assert len(text) < 200_000, shown
        assert not [one for one in caplog.records if one.levelno >= logging.ERROR], shown


async def places_of(target: Target, texts: Sequence[bytes], values: Sequence[bytes]) -> list[Place]:
    """Return every place, with a request for each text or value."""
    return [
        *places_in_paths(texts),
        *places_in_queries(texts),
        *places_in_bodies(values),
        *await places_in_forms(texts, target),
        *places_in_headers(texts, target.csrf),
    ]


@pytest.mark.parametrize(
    ("store", "texts", "values", "step"),
    [
        ("memory", TEXTS, VALUES, 47),
        ("postgresql", NUL, VALUES_WITH_NUL, 1),
        slow("memory", TEXTS, VALUES, 2),
        slow("postgresql", TEXTS, VALUES, 8),
    ],
)
async def test_any_value_in_any_place_is_answered(
    store: str, texts: Sequence[bytes], values: Sequence[bytes], step: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Each place gets each `step`th value, beginning with another one each time."""
    async with target_on(store) as target:
        places = await places_of(target, texts, values)
        caplog.clear()
        for number, (about, requests) in enumerate(places):
            await attack(target, about, requests[number % step :: step], caplog)


async def test_sabotage_a_page_that_stores_any_text_is_noticed(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_actions, "is_storable", lambda _text: True)
    async with target_on("postgresql") as target:
        (requests,) = [
            requests for about, requests in await places_in_forms(NUL, target) if about == "the form /jobs, after"
        ]
        caplog.clear()
        with pytest.raises(AssertionError, match="503"):
            await attack(target, "after", requests, caplog)
