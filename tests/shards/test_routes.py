"""The routes, the metrics and the dashboard over several shards, one of them down."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from server_jobs import Backend
from server_jobs.http import ALL_RIGHTS, Caller, Tokens, create_app
from server_jobs.stores.sharded import ShardedStore

from tests.http.caller import BEARER, TOKEN

from .letters import SHARDS, TENANTS, Letter, registry
from .outage import UnreliableStore


@pytest.fixture
def store() -> ShardedStore:
    return ShardedStore({name: UnreliableStore() for name in SHARDS})


@asynccontextmanager
async def calling(store: ShardedStore) -> AsyncIterator[httpx.AsyncClient]:
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
