"""Run examples of docstrings in the project of the tutorial, each with a database and a worker of its own.

A program: it reads `examples.json`, code by name, and writes `failures.json`, the trace of each example that failed.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
import shutil
import signal
import traceback
from collections.abc import Mapping
from contextlib import chdir, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from types import CodeType
from typing import Any

import hypothesis
from server_jobs import DoNotRetryError, RetryAfterError, Worker, connect, create_job_context

from generated.registry import registry

DATABASE = "server-jobs.sqlite3"

# The names that examples use without an import: of the tutorial, of the package, and of an application. The cluster
# stands in for one of Kubernetes, and gets no job.
NAMES = compile(
    """
import asyncio
import os
import signal
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import prometheus_client
import sentry_sdk
from fastapi import FastAPI
from flask import Flask
from generated.jobs import SendEmail
from generated.models.send_email import SendEmailParams, SendEmailResult
from generated.registry import registry
from hypothesis import given
from pydantic import BaseModel
from server_jobs import *
from server_jobs.domain.search import FindStep
from server_jobs_kubernetes.place import InPod
from server_jobs.engine.bulk import BulkAction, BulkResult, change_page
from server_jobs.engine.open_places import open_places
from server_jobs.isolation.place_kinds import PlaceSettings
from server_jobs_http import *
from server_jobs_integrations.flask import ServerJobs
from server_jobs_integrations.opentelemetry import OpenTelemetryMiddleware
from server_jobs_integrations.prometheus import PrometheusMiddleware, WorkerMetrics
from server_jobs_integrations.sentry import SentryMiddleware
from server_jobs_integrations.starlette import lifespan
from server_jobs_integrations.structlog import StructlogMiddleware
from server_jobs_kubernetes.manifest import PodSettings, pod_spec_of
from server_jobs_kubernetes.pods import KubernetesPods
from server_jobs.memory import InMemoryBackend
from server_jobs.schema import attach
from server_jobs.testing import *
from sqlalchemy import create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

class Base(DeclarativeBase):
    pass

class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str]

class CleanupParams(BaseModel):
    days: int = 30

class Cleanup(OptionalParamsJob[CleanupParams, None, dict[str, object]]):
    job_name = spec_name = "Cleanup"
    params_model, result_model = CleanupParams, type(None)

class Cluster:
    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        pass

    async def check_access(self):
        pass

class Mailer:
    def __init__(self, host):
        self.host = host

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        pass

    async def send(self, to):
        return "1"

async def handle(params, context):
    raise NotImplementedError

async def send(params):
    return SimpleNamespace(status=429, headers={"Retry-After": "30"})

async def sign_up(address):
    await SendEmail.later({"to": address, "subject": "Welcome"})

Cleanup.bind(backend)
engine = create_engine("sqlite:///server-jobs.sqlite3")
Base.metadata.create_all(engine)
order = Order(email="ada@example.com")
params = SendEmailParams(to="ada@example.com", subject="Hello")
""",
    "names",
    "exec",
    dont_inherit=True,
)


async def run(code: CodeType) -> None:
    """Run the code, then the handlers and tests that it defines."""
    async with connect(registry) as backend:
        names: dict[str, Any] = {"__name__": "names", "backend": backend}
        exec(NAMES, names)
        names["__name__"] = "example"
        worker = Worker(backend)
        running = asyncio.create_task(worker.run())
        ending = asyncio.create_task(send_sigterm())
        try:
            await run_code(code, names)
            await run_functions(names)
        finally:
            ending.cancel()
            worker.stop()
            await running


async def send_sigterm() -> None:
    """End examples that run until the signal."""
    while True:
        await asyncio.sleep(0.5)
        signal.raise_signal(signal.SIGTERM)


async def run_code(code: CodeType, names: dict[str, Any]) -> None:
    if code.co_flags & inspect.CO_COROUTINE:
        await eval(code, names)
    else:
        await asyncio.to_thread(exec, code, names)  # without an event loop, as in a plain program


async def run_functions(names: Mapping[str, Any]) -> None:
    for name, value in names.items():
        if getattr(value, "__module__", None) != "example":
            continue
        if name == "handle":
            with suppress(DoNotRetryError, RetryAfterError):
                context = create_job_context(resources=(names["Mailer"]("smtp.example.com"),))
                await value(names["params"], context, **context.resources.arguments_of(value, name))
        elif name.startswith("test_"):
            value()


def failure(name: str, text: str, database: Path) -> str | None:
    """Run an example in a new folder. Return the trace of its error, or None."""
    with TemporaryDirectory() as folder, chdir(folder):
        shutil.copy(database, folder)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # asyncio restores the default, which ends this process
        try:
            code = compile(text, name, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
            asyncio.run(run(code))
        except Exception:  # noqa: BLE001  an example may raise any error
            return traceback.format_exc()
    return None


def main() -> None:
    generate = [hypothesis.Phase.generate]  # a failure that is expected need not be shrunk
    hypothesis.settings.register_profile("examples", max_examples=10, phases=generate, deadline=None, database=None)
    hypothesis.settings.load_profile("examples")
    examples = json.loads(Path("examples.json").read_text(encoding="utf-8"))
    database = Path(DATABASE).resolve()
    traces = {name: failure(name, text, database) for name, text in examples.items()}
    failures = {name: trace for name, trace in traces.items() if trace is not None}
    Path("failures.json").write_text(json.dumps(failures), encoding="utf-8")


if __name__ == "__main__":
    main()
