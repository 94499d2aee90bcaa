"""Turso and other libSQL servers over HTTP. Each call is one request and one transaction."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from http import HTTPStatus

from server_jobs.databases.query_check import check_queries
from server_jobs.domain.clock import SQLITE_NOW
from server_jobs.domain.interfaces import Row, Statement, Wake
from server_jobs.domain.option_kinds import check_duration
from server_jobs.errors import DatabaseBusyError, DatabaseError, InvalidOptionError

from .hrana import Call, RefusedError, answered_rows, refusal_in, request
from .hrana_values import MalformedAnswerError, UnsendableValueError
from .http_transport import Transport, UnansweredError, UnreachableError
from .url import TURSO_TOKEN, Endpoint, endpoint_of, token_source

DEFAULT_TIMEOUT = timedelta(seconds=30)

# In Turso's server in Rust, as of late 2026, json_each returns texts with their escapes: a statement for many rows
# would store garbled texts without an error (github.com/tursodatabase/turso/issues/8420).
CHECKED_TEXT = '"\\\n\N{LATIN SMALL LETTER E WITH ACUTE}'
CHECK = Statement("SELECT value AS text FROM json_each(:texts)", writes=False)

_PAUSES = (0.1, 0.4)  # seconds before a request is sent again
_LATEST_REPEAT = 5.0  # seconds after its start: whoever waited longer for a connection should not wait again
# Too slow, too many requests, and a server that a gateway, or Cloudflare (52x, 530), cannot reach.
_AWAY = (408, 429, 502, 503, 504, 520, 521, 522, 523, 524, 530)


class TursoDatabase:
    """A libSQL database by its URL: `libsql://NAME-ORGANIZATION.turso.io`, or `libsql://127.0.0.1:8080?tls=0`.

    Also `https://HOST`, and `http://HOST` on this machine. The token is `auth_token`, else `?authToken=` of the URL,
    else the environment variable `token_variable`.

    After `timeout`, or a lost connection, a request raises `DatabaseUnreachableError`; a write may or may not be
    committed then.
    A request is sent again, at most twice, if it was certainly not executed, or if it only reads and the connection was
    lost. `DatabaseBusyError` is raised if another transaction still blocks it.

    Any event loop may use the database. CPython needs the extra `turso`. Raises `InvalidOptionError` for an invalid URL
    or token, and `DatabaseError` if the extra is missing.
    """

    name = "turso"
    now = SQLITE_NOW  # no subquery: Turso's server in Rust rejects one in the SET of an upsert

    def __init__(
        self,
        url: str,
        *,
        auth_token: str | None = None,
        token_variable: str = TURSO_TOKEN,
        timeout: timedelta = DEFAULT_TIMEOUT,
        transport: Transport | None = None,
    ) -> None:
        check_duration("timeout", timeout)
        if not timeout:
            raise InvalidOptionError(f"timeout must be longer than zero, not {timeout}")
        self._endpoint: Endpoint = endpoint_of(url, auth_token, variable=token_variable)
        self._transport = transport or transport_to(self._endpoint, timeout)
        self._is_open = False
        self.queries = 0
        """The number of requests."""

    @property
    def shown_url(self) -> str:
        """The URL without the token."""
        return self._endpoint.place

    async def open(self) -> None:
        """Like `Database.open`. Sends a request, so that a wrong URL or token raises here.

        Raises `DatabaseError` for a server that garbles texts, such as Turso's server in Rust in late 2026.
        """
        if self._is_open:
            return
        (rows,) = await self._executed((CHECK, {"texts": json.dumps([CHECKED_TEXT])}))
        if rows != [{"text": CHECKED_TEXT}]:
            raise DatabaseError(
                f"{self.shown_url} reads JSON wrongly ({self._endpoint.shown(str(rows))}) and would garble what is "
                "stored: this is a known fault of Turso's server in Rust (tursodb); use a database on a libSQL server"
            )
        self._is_open = True

    async def close(self) -> None:
        """As in `Database`."""
        self._is_open = False
        await self._transport.close()

    def watch(self, wake: Wake) -> Callable[[], None]:
        """Do nothing: the server sends no events, so callers poll."""
        del wake
        return lambda: None

    def announce(self) -> None:
        """Nothing to do."""

    async def run(self, *calls: Call, look: Call | None = None) -> Sequence[Sequence[Row]]:
        """As in `Database`."""
        if not self._is_open:
            raise DatabaseError(f"the database {self.shown_url} is not open; call `open()` (or `initialize()`) first")
        if look is not None and not (await self.run(look))[0]:
            return [() for _ in calls]
        return await self._executed(*calls) if calls else []

    async def _executed(self, *calls: Call) -> Sequence[Sequence[Row]]:
        try:
            body = request(calls)
        except UnsendableValueError as error:
            raise DatabaseError(f"{self.shown_url} cannot store a value: {error}") from error
        return await self._repeated(
            body, len(calls), may_repeat=all(one.may_repeat or not one.writes for one, _ in calls)
        )

    async def _repeated(self, body: str, statements: int, *, may_repeat: bool) -> Sequence[Sequence[Row]]:
        time = asyncio.get_running_loop().time
        latest = time() + _LATEST_REPEAT
        for pause in _PAUSES:
            try:
                return await self._ask(body, statements)
            except (UnreachableError, DatabaseBusyError):  # the request was not executed
                if time() > latest:
                    raise
            except UnansweredError:
                if not may_repeat:
                    raise
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311  spreads load only
        return await self._ask(body, statements)

    async def _ask(self, body: str, statements: int) -> Sequence[Sequence[Row]]:
        check_queries(1)
        self.queries += 1
        reply = await self._transport.post(body)
        try:
            if reply.status == HTTPStatus.OK:
                return answered_rows(reply.text, statements)
            raise refusal_in(reply.text) or RefusedError(reply.text.strip() or "it said nothing more", code="")
        except RefusedError as error:
            known = RefusedError(self._endpoint.shown(error.message), error.code)  # safe to show in a traceback
            raise self._meaning(known, reply.status) from known
        except MalformedAnswerError as error:
            repeats_token = self._endpoint.token is not None and self._endpoint.token in reply.text
            odd = MalformedAnswerError("it repeats the token" if repeats_token else self._endpoint.shown(str(error)))
            raise DatabaseError(
                f"{self.shown_url} does not speak the protocol of libSQL: {odd}; whether the request was executed is "
                "unknown. Check the database URL"
            ) from odd

    def _meaning(self, error: RefusedError, status: int) -> DatabaseError:
        """Return the error for a refusal of the server or of a proxy."""
        place, said = self.shown_url, error.message
        if error.is_busy and status == HTTPStatus.OK:  # otherwise a proxy may have sent it
            return DatabaseBusyError(
                f"{place} was locked by another transaction for too long ({said}), and nothing was changed; try again"
            )
        if error.is_loss or status in _AWAY:
            return UnansweredError(
                f"{place} is away, or was restarted ({_status(status)}{said}); "
                "whether the request was executed is unknown"
            )
        if status in (401, 403):
            given = "no token was given for it" if self._endpoint.token is None else "it does not take the token"
            return DatabaseError(
                f"{place} refuses access: {given} ({_status(status)}{said}); set the environment variable "
                f"{self._endpoint.variable} to a valid one{token_source(self._endpoint.variable)}"
            )
        if status != HTTPStatus.OK:
            return DatabaseError(f"{place} refused the request ({_status(status)}{said}); check the database URL")
        return DatabaseError(f"{place} refused a statement: {said}")


def _status(status: int) -> str:
    return "" if status == HTTPStatus.OK else f"HTTP status {status}: "


def transport_to(endpoint: Endpoint, timeout: timedelta) -> Transport:
    """Return the client of this interpreter: `fetch` in a Worker, httpx elsewhere.

    `timeout` limits each request as a whole. Raises `DatabaseError` if the extra `turso` is missing.
    """
    if sys.platform == "emscripten":
        from .fetch_transport import FetchTransport  # needs JavaScript

        return FetchTransport(endpoint, timeout)
    try:
        from .httpx_transport import HttpxTransport  # needs the extra
    except ModuleNotFoundError as error:
        raise DatabaseError(
            f"for Turso the module {error.name!r} is missing; run pip install 'server-jobs[turso]'"
        ) from error
    return HttpxTransport(endpoint, timeout)
