"""The routes, the metrics and the dashboard over several shards, one of them down."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import httpx
import pytest
from server_jobs import Backend
from server_jobs.domain.interfaces import Store
from server_jobs.http import ALL_RIGHTS, Caller, Tokens, create_app
from server_jobs.stores.memory import MemoryStore
from server_jobs.stores.sharded import ShardedStore
from server_jobs_cli.agents.reading_tools import reading_tools

from tests.http.caller import BEARER, TOKEN

from .letters import SHARDS, TENANTS, Letter, registry
from .outage import UnreliableStore


@pytest.fixture
def store() -> ShardedStore:
    return ShardedStore({name: UnreliableStore() for name in SHARDS})


@asynccontextmanager
async def calling(store: Store) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of the routes, with a job of each tenant."""
    backend = Backend(database=store, job_registry=registry)
    for tenant in TENANTS.values():
        await Letter.using(backend).later({"tenant": tenant})
    transport = httpx.ASGITransport(create_app(backend, Tokens(TOKEN)))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=BEARER) as client:
        yield client


def down(store: ShardedStore) -> None:
    eu = store.stores["eu"]
    assert isinstance(eu, UnreliableStore)
    eu.is_down = True


async def test_lists_have_the_jobs_of_all_shards(store: ShardedStore) -> None:
    async with calling(store) as client:
        listed = await client.get("/jobs")
    assert len(listed.json()["jobs"]) == 4
    assert "server-jobs-missing-shards" not in listed.headers


async def test_the_documents_of_a_job_name_its_shard(store: ShardedStore) -> None:
    async with calling(store) as client:
        listed = (await client.get("/jobs")).json()["jobs"]
        recent = (await client.get("/status")).json()["jobs"]
        places = {job["id"]: job["shard"] for job in listed}
        for job_id, shard in places.items():
            await store.cancel(job_id)
            shown, why, retried = (
                await client.get(f"/jobs/{job_id}"),
                await client.get(f"/jobs/{job_id}/why"),
                await client.post(f"/jobs/{job_id}/retry"),
            )
            assert [one.json()["shard"] for one in (shown, why, retried)] == [shard] * 3
    assert sorted(places.values()) == list(SHARDS)
    assert {job["id"]: job["shard"] for job in recent} == places


async def test_the_documents_of_one_database_name_no_shard() -> None:
    async with calling(MemoryStore()) as client:
        listed = (await client.get("/jobs")).json()["jobs"]
        shown = (await client.get(f"/jobs/{listed[0]['id']}")).json()
    assert not [job for job in (shown, *listed) if "shard" in job]


async def test_the_tools_of_agents_name_the_shard_of_a_job(store: ShardedStore) -> None:
    job_id = await Letter.using(Backend(database=store, job_registry=registry)).later({"tenant": TENANTS["sa"]})
    tools = {tool.name: tool.call for tool in reading_tools(store, registry)}
    for name in ("show_job", "explain_job"):
        assert (await tools[name]({"id": job_id})).document["shard"] == "sa"
    (listed,) = cast("list[dict[str, object]]", (await tools["list_jobs"]({})).document["jobs"])
    assert listed["shard"] == "sa"


async def test_a_missing_shard_is_in_a_header(store: ShardedStore) -> None:
    async with calling(store) as client:
        down(store)
        listed = await client.get("/jobs")
        missing = await client.get("/jobs/01a22bd2-375f-7000-9e9d-d5c6d1277c74")
    assert len(listed.json()["jobs"]) == 3
    assert listed.headers["server-jobs-missing-shards"] == "eu"
    assert missing.status_code == 503


async def test_metrics_have_the_label_shard_and_no_series_of_a_missing_one(store: ShardedStore) -> None:
    async with calling(store) as client:
        complete = (await client.get("/metrics")).text
        down(store)
        partial = (await client.get("/metrics")).text
    assert 'server_jobs_shard_up{shard="eu"} 1' in complete
    assert 'server_jobs_due_jobs{queue="default",job_name="Letter",shard="eu"} 1' in complete
    assert 'server_jobs_workers{state="alive",shard="us"} 0' in complete
    assert 'server_jobs_shard_up{shard="eu"} 0' in partial
    assert 'server_jobs_due_jobs{queue="default",job_name="Letter",shard="us"} 1' in partial
    assert partial.count('shard="eu"') == 1


async def test_the_dashboard_names_the_shard_of_a_job_and_a_missing_shard(store: ShardedStore) -> None:
    backend = Backend(database=store, job_registry=registry)
    app = create_app(backend, Tokens(TOKEN), dashboard_access=lambda _: Caller("me", ALL_RIGHTS))
    job_id = await Letter.using(backend).later({"tenant": TENANTS["us"]})
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as visitor:
        of_job = await visitor.get(f"/dashboard/jobs/{job_id}")
        down(store)
        page = await visitor.get("/dashboard/jobs")
    assert "<dt>Shard</dt><dd>us</dd>" in of_job.text
    assert '<td data-label="Shard">us</td>' in page.text
    assert "The shard eu does not answer: its jobs are missing here." in page.text
