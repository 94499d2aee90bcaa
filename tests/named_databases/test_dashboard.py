"""The dashboards of several databases link to each other, and HTTP keeps their jobs apart."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest
from server_jobs import Databases, InvalidOptionError, connect_databases
from server_jobs.stores.memory import MemoryStore
from server_jobs_http import HttpOptions, Tokens, create_app
from server_jobs_http.app import under_prefixes

from tests.server_jobs_http.caller import TOKEN, Caller
from tests.server_jobs_http.dashboard.site import Client

from .letters import EU, NAMES, US, new_registry

LINK = re.compile(r'<a href="(/[^"]*)"( aria-current="true")?>(eu|us)</a>')


async def test_the_dashboards_link_to_each_other_and_mark_their_own_database(urls: Mapping[str, str]) -> None:
    async with connect_databases(new_registry()) as databases:
        places = {name: f"/{name}/_jobs/dashboard/" for name in NAMES}
        options = HttpOptions(databases=places)
        app = under_prefixes(
            {f"/{name}/_jobs": create_app(databases[name], Tokens(TOKEN), options=options) for name in NAMES}
        )
        for name in NAMES:
            client = Client(app)
            client.cookies.update((await client("POST", f"{places[name]}sign-in", {"token": TOKEN})).cookies)
            page = (await client("GET", places[name])).text
            assert LINK.findall(page) == [
                (places[each], ' aria-current="true"' if each == name else "", each) for each in NAMES
            ]


async def test_a_dashboard_of_one_database_has_no_such_links(urls: Mapping[str, str]) -> None:
    async with connect_databases(new_registry()) as databases:
        client = Client(under_prefixes({"/_jobs": create_app(databases["eu"], Tokens(TOKEN))}))
        await client.signs_in(TOKEN)
        page = (await client("GET", "/_jobs/dashboard/")).text
    assert 'aria-label="Pages"' in page
    assert 'aria-label="Databases"' not in page


async def test_an_enqueue_over_http_into_another_database_than_that_of_its_params_is_refused(
    urls: Mapping[str, str],
) -> None:
    async with connect_databases(new_registry()) as databases:
        call = Caller(app=create_app(databases["eu"], Tokens(TOKEN)))
        answers = {tenant: await call("POST", "/jobs/Letter", {"params": {"tenant": tenant}}) for tenant in (EU, US)}
        listed = (await call("GET", "/jobs")).json()["jobs"]
    assert answers[EU].status_code == 201
    assert answers[US].status_code == 422
    assert answers[US].json()["title"].startswith("this Letter belongs to the database 'us', not to 'eu'")
    assert [job["id"] for job in listed] == [answers[EU].json()["id"]]


@pytest.mark.parametrize(
    ("error", "status", "title"),
    [
        (KeyError("postgresql://shop:hunter2@db"), 500, "an unexpected error; the log of the server says more"),
        (InvalidOptionError("no such tenant"), 422, "no such tenant"),
    ],
)
async def test_a_caller_over_http_sees_no_error_of_the_function_but_its_refusal(
    error: Exception, status: int, title: str
) -> None:
    def choose(_tenant: str) -> str:
        raise error

    backend = Databases(new_registry(choose), databases={"eu": MemoryStore()})["eu"]
    call = Caller(app=create_app(backend, Tokens(TOKEN)))
    answer = await call("POST", "/jobs/Letter", {"params": {"tenant": EU}})
    assert (answer.status_code, answer.json()["title"]) == (status, title)
