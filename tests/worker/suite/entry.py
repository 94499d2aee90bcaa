"""The Worker of these tests: runs the test file in a request, and answers with the outcome of each test."""

from __future__ import annotations

import json
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from server_jobs_cloudflare import WorkerRequest
from server_jobs_cloudflare.databases.durable_object import DurableObjectDatabase
from server_jobs_cloudflare.databases.revisions import ObjectSchema, revisions_in

from tests.worker.suite.costs import measured
from tests.worker.suite.outcomes import outcomes_of
from tests.worker.suite.stores import d1_stores, object_stores

if TYPE_CHECKING:

    class WorkerEntrypoint:
        """The base class, as in the generated entry."""

        env: Any

    class DurableObject(WorkerEntrypoint):
        """The base class of objects."""

        ctx: Any

else:
    from workers import DurableObject, WorkerEntrypoint

_migrations = import_module("tests.worker.suite.migrations")  # exists in the Worker only


class Default(WorkerEntrypoint):
    """The entry points that workerd calls."""

    async def fetch(self, request: WorkerRequest) -> object:
        """Answer `/run?argument=...` on D1, `/object?argument=...` inside an object, or `/costs`."""
        asked = urlsplit(request.url)
        match asked.path:
            case "/object":
                objects = self.env.SUITE
                return await objects.get(objects.idFromName("suite")).fetch(request)
            case "/costs":
                return _json(await measured(self.env.DB))
            case _:
                return _json(outcomes_of(d1_stores(self.env.DB), *parse_qs(asked.query)["argument"]))


class Suite(DurableObject):
    """The object that runs the tests on its own storage."""

    async def fetch(self, request: WorkerRequest) -> object:
        """Answer `/object?argument=...`."""
        database = DurableObjectDatabase(self.ctx.storage)
        ObjectSchema(database, revisions_in(_migrations.FILES)).upgrade()
        arguments = parse_qs(urlsplit(request.url).query)["argument"]
        return _json(outcomes_of(object_stores(database), *arguments))


def _json(answer: object) -> object:
    return import_module("workers").Response(json.dumps(answer))
