"""Metrics name their database in a project with several ones, and in no other project."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from server_jobs import Databases, Worker
from server_jobs.engine.backend import Backend
from server_jobs.stores.memory import MemoryStore
from server_jobs_cli.worker.metrics_endpoint import WorkerEndpoint
from server_jobs_http import Tokens, create_app
from server_jobs_integrations.prometheus import WorkerMetrics

from tests.server_jobs_http.caller import TOKEN, Caller

from .letters import US, Letter, new_registry


def named() -> Backend:
    return Databases(new_registry(), databases={"us": MemoryStore()})["us"]


def alone() -> Backend:
    return Backend(database=MemoryStore(), job_registry=new_registry())


def names_in(text: str) -> Iterator[str | None]:
    """Yield the name of the database of each sample of this package."""
    for family in text_string_to_metric_families(text):
        if family.name.startswith("server_jobs_"):
            yield from (sample.labels.get("database") for sample in family.samples)


@pytest.mark.parametrize(("backend", "name"), [(named(), "us"), (alone(), None)], ids=["several", "one"])
async def test_each_metric_names_its_database_if_there_are_several(backend: Backend, name: str | None) -> None:
    await Letter.using(backend).later({"tenant": US})
    registry, endpoint = CollectorRegistry(), WorkerEndpoint(backend.database_name)
    registry.register(metrics := WorkerMetrics(backend))
    worker = Worker(backend, until_empty=True, listener=metrics)
    endpoint.watch(worker)
    await worker.run()

    of_database = await Caller(app=create_app(backend, Tokens(TOKEN)))("GET", "/metrics")
    for text in (of_database.text, generate_latest(registry).decode(), endpoint.metrics().decode()):
        assert set(names_in(text)) == {name}
