"""Jobs for enqueueing over HTTP, and a client of the application."""

from __future__ import annotations

import json
from collections.abc import Mapping

import httpx
from pydantic import BaseModel, Field
from server_jobs import Job, JobContext, JobOptions, create_job_registry, define_job
from server_jobs.memory import InMemoryBackend
from server_jobs_http import HttpOptions, Tokens, create_app
from starlette.types import ASGIApp

TOKEN = "Zq3-aN7vR0yKx5mWb1TfJ8pLc2HsUd9eGoIt4nQiXYk"
OTHER_TOKEN = "hT6_wB4jP9cE2rVkS0uMfQy7XaLgZd1nIoN8tRxKq5J"
BEARER = {"authorization": f"Bearer {TOKEN}"}


class Address(BaseModel):
    street: str


class Note(BaseModel):
    """A note to keep."""

    text: str = Field(max_length=40)
    password: str = "none"
    addresses: list[Address] = []


class Kept(BaseModel):
    length: int


async def keep(params: Note, context: JobContext) -> Kept:
    await context.update_progress(50, "half way")
    if params.text == "bad":
        raise ValueError(f"cannot keep {params.text}")
    return Kept(length=len(params.text))


def keep_job() -> type[Job[Note, Kept, Mapping[str, object]]]:
    """Return a job with a redacted password."""
    options = JobOptions(redact=("/password",), max_attempts=1)
    return define_job(name="Keep", params=Note, result=Kept, handler=keep, options=options)


def new_backend() -> InMemoryBackend:
    """Return a backend in memory with the job Keep."""
    return InMemoryBackend(job_registry=create_job_registry().register(keep_job()))


class Caller:
    """Calls the application in memory, with a valid token by default."""

    def __init__(
        self,
        backend: InMemoryBackend | None = None,
        *,
        tokens: Tokens | None = None,
        options: HttpOptions | None = None,
        app: ASGIApp | None = None,
    ) -> None:
        self.backend = new_backend() if backend is None else backend
        tokens = Tokens(TOKEN) if tokens is None else tokens
        self.app = create_app(self.backend, tokens, options=options) if app is None else app

    async def __call__(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> httpx.Response:
        sent = {**BEARER, **(headers or {})}
        if body is not None:
            content = json.dumps(body).encode()
            sent = {"content-type": "application/json", **sent}
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://jobs.example") as client:
            encoded = [(name.encode(), value.encode("latin-1")) for name, value in sent.items()]
            return await client.request(method, path, content=content, headers=encoded)

    async def without_token(self, method: str, path: str) -> httpx.Response:
        """Call without a token."""
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://jobs.example") as client:
            return await client.request(method, path)

    async def stored(self) -> int:
        """Return how many jobs are stored."""
        return sum(one.count for one in await self.backend.store.count_jobs())
