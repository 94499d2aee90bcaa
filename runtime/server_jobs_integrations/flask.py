"""The Flask extension: jobs in views, handlers in the application context, and the command `flask jobs`."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import click
from flask import Flask, Response, current_app, has_app_context
from flask.cli import ScriptInfo, with_appcontext
from server_jobs.binding import Binding
from server_jobs.databases.url import DATABASE_URL, database_url
from server_jobs.engine.backend import Backend
from server_jobs.errors import InvalidOptionError, ProjectError, ProjectNotFoundError
from server_jobs.inspection.problem_document import CALLER_ERRORS, PROBLEM_TYPE, response_to
from server_jobs.middleware import Middleware, RunningAttempt
from server_jobs.named_databases import Databases
from server_jobs.project import find_project
from server_jobs.registry import JobRegistry
from werkzeug.local import LocalProxy

_NAME = "server_jobs"
_APP_VARIABLE = "FLASK_APP"


@dataclass(frozen=True, slots=True)
class _Connected:
    """An application with the extension, and its backend."""

    app: Flask
    backend: Backend | Databases


_last: list[_Connected] = []
"""The application that was connected last, if any. Code without an application context uses it."""


class ServerJobs:
    """Connects the jobs of a registry to Flask applications.

    The configuration key `SERVER_JOBS_DATABASE_URL` names the database. The default is as in `connect`, or the
    databases of the project, which exclude the key. The first call opens a database, so that a server may fork before.

    In the context of an application, the jobs use its database. Without a context they use the database of the
    application that was connected last. Each handler runs in a new application context, which ends with the attempt. So
    `current_app` works, and Flask-SQLAlchemy removes the session of the handler.

    Errors that callers cause get a problem document (RFC 9457), as in
    `server_jobs_integrations.starlette.add_exception_handlers`. `flask jobs` is the command `server-jobs` on the
    database of the application.

        app = Flask("shop")
        ServerJobs(app, registry)
    """

    def __init__(self, app: Flask | None, registry: JobRegistry) -> None:
        self._registry = registry
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Connect this application, for a function that makes one: `jobs = ServerJobs(None, registry)`."""
        connected = _Connected(app, self._backend(app.config.get(DATABASE_URL)))
        app.extensions[_NAME], _last[:] = connected, [connected]
        self._registry.bind(cast("Binding", LocalProxy(lambda: _connected().backend)))
        if set_up not in self._registry.hooks.set_ups:
            self._registry.set_up(set_up)
        for error in CALLER_ERRORS:
            app.register_error_handler(error, _respond)
        app.cli.add_command(_jobs)

    def _backend(self, url: str | None) -> Backend | Databases:
        if self._registry.routing is None:
            url = database_url(url, variable=self._registry.database_url_env)
            return Backend(database=url, job_registry=self._registry)
        if url is not None:
            raise InvalidOptionError(f"the project names its databases; remove {DATABASE_URL} from app.config")
        return Databases(self._registry)


class AppContext(Middleware):
    """Runs each handler in a new context of the application, in the thread of the handler."""

    @asynccontextmanager
    async def around_attempt(self, attempt: RunningAttempt) -> AsyncIterator[None]:
        """Surround an async handler."""
        del attempt
        with _connected().app.app_context():
            yield

    @contextmanager
    def around_plain_handler(self, attempt: RunningAttempt) -> Iterator[None]:
        """Surround a plain handler in its thread, because sessions of databases belong to a context and a thread."""
        del attempt
        with _connected().app.app_context():
            yield


def set_up(registry: JobRegistry) -> None:
    """Add the application context. A process that Flask did not start loads the application of `FLASK_APP` first."""
    if not _last:
        ScriptInfo().load_app()
    if not _last:
        raise ProjectError("the Flask application has no extension server_jobs; call ServerJobs(app, registry) in it")
    registry.use(AppContext())


def _connected() -> _Connected:
    """Return the current application, or else the last one."""
    here = current_app.extensions.get(_NAME) if has_app_context() else None
    return cast("_Connected", here or _last[0])


def _respond(error: Exception) -> Response:
    response = response_to(error)
    return Response(response.body, response.status, content_type=PROBLEM_TYPE)


@click.command(
    "jobs",
    short_help="Run a command of server-jobs: worker, list, retry, ...",
    add_help_option=False,
    context_settings={"ignore_unknown_options": True},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
@with_appcontext
def _jobs(ctx: click.Context, arguments: tuple[str, ...]) -> None:
    """Run the command line on the database of the application, also in the processes that it starts."""
    try:
        from server_jobs_cli.program import program
    except ModuleNotFoundError as error:
        raise click.ClickException(f"{error}; run pip install 'server-jobs[worker]'") from error
    place = ctx.ensure_object(ScriptInfo).app_import_path
    if place is not None:
        os.environ[_APP_VARIABLE] = place
    url = current_app.config.get(DATABASE_URL)
    if url is not None:
        os.environ[_url_variable()] = url
    program(list(arguments) or ["--help"], prog_name="flask jobs", obj=(sys.executable, "-m", "flask", "jobs"))


def _url_variable() -> str:
    """Return the name of the variable from which the commands read the URL."""
    try:
        return find_project(Path.cwd()).url_variable
    except ProjectNotFoundError:
        return DATABASE_URL
