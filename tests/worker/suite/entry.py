"""The Worker of these tests: runs the test file in a request, and answers with the outcome of each test."""

from __future__ import annotations

import json
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from server_jobs.cloudflare.entry import WorkerRequest

from tests.worker.suite.costs import measured
from tests.worker.suite.outcomes import outcomes_of

if TYPE_CHECKING:

    class WorkerEntrypoint:
        """The base class, as in the generated entry."""

        env: Any

else:
    from workers import WorkerEntrypoint


class Default(WorkerEntrypoint):
    """The entry points that workerd calls."""

    async def fetch(self, request: WorkerRequest) -> object:
        """Answer `/run?file=...&profile=...`, or `/costs`."""
        asked = urlsplit(request.url)
        if asked.path == "/costs":
            answer: object = await measured(self.env.DB)
        else:
            answer = outcomes_of(self.env.DB, *parse_qs(asked.query)["argument"])
        return import_module("workers").Response(json.dumps(answer))
